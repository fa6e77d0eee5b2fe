import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../../../src/commands.js';
import { AudienceValues } from '../../../src/delivery/preflight/audience-values.service.js';
import { EVERYBODY } from '../../../src/delivery/preflight/audience.queries.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' };

describe('a broadcast whose mail breaks on what some of its readers have', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());
  beforeEach(async () => t.dataSource.query('truncate subscriber, broadcast, written_mail cascade'));

  /** Twenty readers with these fields, and one with others. */
  const readers = async (fields: object, odd: object | null, oddName = 'Odd'): Promise<string> => {
    const rows: { id: string }[] = await t.dataSource.query(
      `insert into subscriber (email, email_key, name, status, fields, created_at, updated_at)
       select 'p' || g || '@example.com', 'p' || g || '@example.com', case when g = 13 then $3 else 'P' || g end, 'active',
         case when g = 13 and $2::jsonb is not null then $2::jsonb else $1::jsonb || jsonb_build_object('nth', g) end, now(), now()
       from generate_series(1, 21) g returning id, email`,
      [JSON.stringify(fields), odd === null ? null : JSON.stringify(odd), oddName],
    );
    return rows[12]?.id ?? '';
  };
  const post = (path: string, body: object = {}) =>
    t.http.post(`/api/v1/broadcasts${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
  const draft = async (change: object): Promise<string> => {
    const body = { title: 'News', template: 'emails/story', audience: { everybody: true }, sender: SENDER };
    return (await post('', { ...body, ...change }).expect(201)).body.id as string;
  };
  const written = async (body: string, subject = 'News'): Promise<string> => {
    await t.dataSource.query(
      `insert into written_mail (key, subject, preview, body, created_at, updated_at)
       values ('written/news', $1, 'A line', $2, now(), now())`,
      [subject, `A few words that somebody would like to read.\n\n${body}`],
    );
    return 'written/news';
  };

  it('does not start: one reader’s line break in the subject is named with field and reader', async () => {
    const odd = await readers({ city: 'Springfield' }, { city: 'Shelbyville\nNorth' });
    const id = await draft({ subject: 'News for {{ subscriber.fields.city }}' });
    const { body } = await post(`/${id}/start`).expect(422);
    expect(body.code).toBe('BROADCAST_PREFLIGHT_INVALID');
    expect(body.detail).toBe(
      `templates/emails/story.mjml:3: {{ subscriber.fields.city }} breaks it for some readers, such as subscriber ${odd}: the subject has a line break in it`,
    );
    expect(body.facts.findings).toMatchObject([{ check: 'audience', level: 'fail', subscribers: [odd] }]);
    expect(JSON.stringify(body)).not.toMatch(/Shelbyville|p13@/);
    const { body: report } = await post(`/${id}/preflight`).expect(200);
    expect(report).toMatchObject({ ok: false });
    await t.dataSource.query(`update subscriber set fields = '{"city": "Springfield"}'`);
    expect((await post(`/${id}/start`).expect(200)).body).toMatchObject({ state: 'scheduled' });
  });

  it.each([
    [
      'a filter',
      'Near {{ subscriber.fields.city | url_decode }}',
      '100%',
      /subscriber\.fields\.city \| url_decode/,
    ],
    [
      'a link',
      'Read [your page]({{ subscriber.fields.city }}) now.',
      'my page',
      /a link in it leads to no address/,
    ],
    [
      'a link that it lacks',
      'Read [your page]({{ subscriber.fields.city }}) now.',
      '',
      /a link in it leads to no address/,
    ],
  ])('does not start when %s fails on one value, and names the line', async (_, body, value, reason) => {
    const odd = await readers({ city: 'https://example.com/p' }, { city: value, nth: 13 });
    const id = await draft({ template: await written(`Hi {{ subscriber.name }}\n\n${body}`) });
    const { body: refused } = await post(`/${id}/start`).expect(422);
    expect(refused.detail).toMatch(/^line 5 of “News”: \{\{ subscriber\.fields\.city \}\} breaks it/);
    expect(refused.detail).toContain(`subscriber ${odd}:`);
    expect(refused.detail).toMatch(reason);
    expect(refused.facts.findings).toHaveLength(1);
  });

  it('blames the value that breaks it, though another of the same reader is tried first', async () => {
    const odd = await readers({ city: 'Springfield' }, { city: 'Shelbyville\nNorth' }, 'Only One');
    const id = await draft({ subject: '{{ subscriber.firstName }}, news for {{ subscriber.fields.city }}' });
    const { body } = await post(`/${id}/start`).expect(422);
    expect(body.facts.findings).toMatchObject([
      { message: expect.stringMatching(/^\{\{ subscriber\.fields\.city \}\} breaks/), subscribers: [odd] },
    ]);
  });

  it('starts with values that are as they should be, and with odd ones that no mail of theirs prints', async () => {
    await readers({ city: 'https://example.com/p' }, { city: 'my page', quiet: true });
    const shown =
      '{% unless subscriber.fields.quiet %}[your page]({{ subscriber.fields.city }}){% endunless %}';
    const id = await draft({ template: await written(`Read ${shown} now, {{ subscriber.name }}.`) });
    const { body: report } = await post(`/${id}/preflight`).expect(200);
    expect(report.findings.filter(({ level }: { level: string }) => level === 'fail')).toEqual([]);
    expect((await post(`/${id}/start`).expect(200)).body).toMatchObject({ state: 'scheduled' });
  });

  it('is refused at the terminal, too', async () => {
    const odd = await readers({ city: 'Springfield' }, { city: 'Shelbyville\nNorth' });
    const id = await draft({ subject: 'News for {{ subscriber.fields.city }}' });
    const folder = await mkdtemp(join(tmpdir(), 'wellspring-values-'));
    const said: string[] = [];
    const code = await runCommand(['preflight', `broadcast:${id}`], {
      env: {
        DATABASE_URL: t.app.get<Config>(CONFIG, { strict: false }).databaseUrl ?? '',
        DATA_DIR: folder,
        BASE_URL: 'http://127.0.0.1:9',
        LOG_LEVEL: 'silent',
      },
      out: (text) => said.push(text),
      error: (text) => said.push(text),
    });
    await rm(folder, { recursive: true, force: true });
    expect(code).toBe(1);
    expect(said.join('')).toContain(
      `FAIL templates/emails/story.mjml:3: {{ subscriber.fields.city }} breaks it for some readers, such as subscriber ${odd}: the subject has a line break in it`,
    );
  });

  it('looks at the readers of the broadcast alone', async () => {
    await readers({ city: 'Springfield' }, { city: 'Shelbyville\nNorth' });
    await t.dataSource.query(`update subscriber set status = 'unsubscribed' where email = 'p13@example.com'`);
    const id = await draft({ subject: 'News for {{ subscriber.fields.city }}' });
    expect((await post(`/${id}/start`).expect(200)).body).toMatchObject({ state: 'scheduled' });
  });

  it('says which values were not tried, those that break most mails come first', async () => {
    const values = t.app.get(AudienceValues, { strict: false });
    const tried = async (most: number, untilMs = performance.now() + 60_000): Promise<string[]> =>
      (
        await values.faults(
          {
            ...{
              template: 'emails/story',
              subject: 'For {{ subscriber.fields.nth }}',
              sender: SENDER,
              data: {},
            },
            ...{ kind: 'sequence', funnelTitle: '', readers: EVERYBODY },
          },
          { most, untilMs },
        )
      ).map(({ level, message }) => `${level} ${message}`);
    await readers({}, null);
    expect(await tried(21)).toEqual([]);
    const unknown = (count: string, variable: string): string =>
      `unknown only the first ${count} values of {{ subscriber.${variable} }} were tried; should another one break the mail, the broadcast pauses after a few`;
    expect(await tried(20)).toEqual([unknown('20', 'fields.nth'), unknown('20', 'firstName')]);
    expect(await tried(20, -Infinity)).toEqual([unknown('0', 'fields.nth'), unknown('0', 'firstName')]);
    await t.dataSource.query(
      `update subscriber set fields = '{"nth": "2\\n1"}' where id = (select max(id) from subscriber)`,
    );
    expect(await tried(3)).toContainEqual(expect.stringMatching(/^fail .*line break/));
  });
});
