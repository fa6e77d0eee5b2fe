import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../../../src/commands/wellspring.command.js';
import { AudienceValues } from '../../../src/delivery/preflight/audience-values.service.js';
import { TemplatesService } from '../../../src/delivery/mails/templates.service.js';
import { Drafts } from '../../../src/delivery/preflight/drafts.service.js';
import { EVERYBODY } from '../../../src/delivery/preflight/audience.queries.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { empty } from '../../support/database.js';

const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' };

describe('a broadcast whose mail breaks on what some of its readers have', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());
  beforeEach(async () => empty(t.dataSource, 'subscriber, broadcast, written_mail'));

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
       values ('written/news', $1, 'A line', $2, now(), now())
       on conflict (key) do update set subject = excluded.subject, body = excluded.body`,
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
    const tried = async (most: number, untilMs = Infinity): Promise<string[]> =>
      (
        await values.faults(
          {
            ...{
              template: 'emails/story',
              // A filter that may do anything with a value: each must be tried.
              subject: 'For {{ subscriber.fields.nth | replace: "q", "" }}',
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
    const unknown = (count: string, ...names: string[]): string =>
      `unknown only the first ${count} values of ${names.map((name) => `{{ subscriber.${name} }}`).join(', ')} were tried; should another one break the mail, the broadcast pauses after a few`;
    expect(await tried(20)).toEqual([unknown('20', 'fields.nth')]);
    expect(await tried(20, -Infinity)).toEqual([unknown('0', 'firstName', 'fields.nth')]);
    await t.dataSource.query(
      `update subscriber set fields = '{"nth": "2\\n1"}' where id = (select max(id) from subscriber)`,
    );
    expect(await tried(3)).toContainEqual(expect.stringMatching(/^fail .*line break/));
  });

  describe('tries one value of each kind', () => {
    const LETTER = 'A few words that somebody would like to read.';
    const USES: [string, { subject?: string; body?: string }][] = [
      ['in the subject', { subject: 'For {{ subscriber.fields.v }}' }],
      ['alone in the subject', { subject: '{{ subscriber.fields.v | upcase }}' }],
      ['in the subject, with a default', { subject: '{{ subscriber.fields.v | default: "you" }}' }],
      ['in the text', { body: 'Hello {{ subscriber.fields.v }}' }],
      ['as an address', { body: '[your page]({{ subscriber.fields.v }})' }],
      ['in an address', { body: '[your page](https://x.test/?q={{ subscriber.fields.v }})' }],
      [
        'in a condition before an address',
        { body: '{% if subscriber.fields.v == "Ely" %}[your page]({{ subscriber.fields.none }}){% endif %}' },
      ],
      [
        'in a condition',
        { subject: '{% if subscriber.fields.v %}{{ subscriber.fields.none }}{% else %}Hi{% endif %}' },
      ],
      ['cut in the subject', { subject: '{{ subscriber.fields.v | truncate: 1, "" }}' }],
      ['in a filter that may fail', { body: 'Near {{ subscriber.fields.v | url_decode }}' }],
    ];
    const VALUES: unknown[] = [
      ...['', ' ', '\n', 'a\nb', 'a\n', '\na', '\u2028', '\u202e', '\u0007', 'Ely', 'a word', '100%'],
      ...[
        'javascript:x',
        'https://x',
        'https://',
        'https://1.2.3.4.5/',
        'https://xn--a/',
        'https://ok.test/p?q=ä',
      ],
      ...['https://ok.test', 'mailto:ada@example.com', 'tel:+43', '//ok.test', 'x'.repeat(6_000)],
      ...[5, 0, true, false, null, [], ['Ely'], { a: 1 }],
    ];

    it.each(USES)(
      '%s: it finds what trying each would find',
      async (_, { subject = 'News', body = 'Hi' }) => {
        const template = await written(`${LETTER}\n\n${body}`, subject);
        const values = t.app.get(AudienceValues, { strict: false });
        const templates = t.app.get(TemplatesService, { strict: false });
        // Compiled once, and not for each value.
        const templateId = await templates.publish(t.dataSource.manager, template);
        const mail = {
          ...{ template, templateId, sender: SENDER, data: {}, kind: 'sequence' as const, funnelTitle: '' },
          readers: EVERYBODY,
        };
        const { html, text } = await templates.compiled(templateId);
        const fill = t.app
          .get(Drafts, { strict: false })
          .filler({ ...mail, template: { subject, html, text } }, { isJudged: true });
        await empty(t.dataSource, 'subscriber');
        const odd = await readers({ v: 'https://ok.test/page' }, { v: 'odd' });
        for (const v of VALUES) {
          await t.dataSource.query('update subscriber set fields = $2 where id = $1', [
            odd,
            JSON.stringify(v === null ? {} : { v }),
          ]);
          const works = await fill(
            { email: 'a@example.com', name: 'Odd', fields: v === null ? {} : { v } },
            false,
          ).then(
            ({ leftOut }) => leftOut.length === 0,
            () => false,
          );
          const usual = await fill(
            { email: 'a@example.com', name: 'P', fields: { v: 'https://ok.test/page' } },
            false,
          ).then(
            ({ leftOut }) => leftOut.length === 0,
            () => false,
          );
          const found = await values.faults(mail, { untilMs: Infinity });
          const told = found
            .filter(({ level }) => level === 'fail')
            .flatMap(({ subscribers = [] }) => subscribers);
          // A mail that breaks for everybody else breaks for them as well.
          if (usual) expect([v, told]).toEqual([v, works ? [] : [odd]]);
          else expect(told).not.toEqual([]);
        }
      },
    );

    it.each([
      [
        'of two fields that are compared with each other',
        '{% if subscriber.fields.city == subscriber.fields.home %}{% else %}Away{% endif %}',
        { city: 'Ely', home: 'York' },
        { city: 'Bath', home: 'Bath' },
      ],
      [
        'of a field that is cut',
        '{{ subscriber.fields.city | truncate: 1, "" }}',
        { city: 'Ely' },
        { city: ' Bath' },
      ],
    ])('and each value %s', async (_, subject, usual, odd) => {
      const id = await readers(usual, odd);
      const draftId = await draft({ subject });
      const { body } = await post(`/${draftId}/start`).expect(422);
      expect(JSON.stringify(body)).toContain(`subscriber ${id}`);
      expect(JSON.stringify(body)).toContain('the subject is empty');
    });

    it('so that three thousand names take no longer than three', async () => {
      await t.dataSource.query(
        `insert into subscriber (email, email_key, name, status, fields, created_at, updated_at)
         select 'p' || g || '@example.com', 'p' || g || '@example.com', 'Name' || g, 'active', '{"city": "Ely"}', now(), now()
         from generate_series(1, 3000) g`,
      );
      const values = t.app.get(AudienceValues, { strict: false });
      const mail = {
        ...{
          template: 'emails/story',
          subject: '{{ subscriber.firstName }}, for {{ subscriber.fields.city }}',
        },
        ...{ sender: SENDER, data: {}, kind: 'sequence' as const, funnelTitle: '', readers: EVERYBODY },
      };
      const tried = async (): Promise<unknown[]> => values.faults(mail, { untilMs: Infinity, most: 4 });
      expect(await tried()).toEqual([]);
      await t.dataSource.query(
        `update subscriber set fields = '{"city": "Ely\\nNorth"}' where email = 'p2999@example.com'`,
      );
      const [odd]: { id: string }[] = await t.dataSource.query(
        `select id from subscriber where email = 'p2999@example.com'`,
      );
      expect(await tried()).toMatchObject([{ level: 'fail', subscribers: [odd?.id] }]);
    });
  });
});
