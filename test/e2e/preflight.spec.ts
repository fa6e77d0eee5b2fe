import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  FunnelPreflightService,
  type FunnelPreflight,
} from '../../src/funnels/templates/funnel-preflight.service.js';
import { API_KEY, startTestApp, type TestApp } from '../support/app.js';

describe('templates by the API', () => {
  let t: TestApp;
  let subscriberId: string;
  beforeAll(async () => {
    // Nothing listens there: links of our own cannot be reached, which is said and stops nothing.
    t = await startTestApp({ baseUrl: 'http://127.0.0.1:9' });
    const rows: { id: string }[] = await t.dataSource.query(
      `insert into subscriber (email, email_key, name, status, created_at, updated_at)
       values ('grace@example.org', 'grace@example.org', 'Grace Hopper', 'active', now(), now()) returning id`,
    );
    subscriberId = rows[0]?.id ?? '';
  });
  afterAll(async () => t.close());
  const post = (path: string, body: object) =>
    t.http.post(`/api/v1/templates/${path}`).set('authorization', `Bearer ${API_KEY}`).send(body);
  const get = (path: string) =>
    t.http.get(`/api/v1/templates${path}`).set('authorization', `Bearer ${API_KEY}`);

  it('lists the latest version of each mail, page by page, and shows one', async () => {
    const first = await get('?limit=2').expect(200);
    expect(first.body.data).toHaveLength(2);
    const rest = await get(`?limit=50&cursor=${first.body.nextCursor}`).expect(200);
    const keys = [...first.body.data, ...rest.body.data].map(({ key }: { key: string }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys).toContain('emails/story');
    const one = await get(`/${first.body.data[0].id}`).expect(200);
    expect(one.body).toMatchObject({ key: first.body.data[0].key, versions: 1 });
    expect(one.body.mjml).toContain('<mjml');
    await get('/999999').expect(404);
  });

  it('shows a mail as one subscriber would get it', async () => {
    const { body } = await post('preview', { template: 'emails/story', subscriberId }).expect(200);
    expect(body.html).toContain('Hi Grace,');
    expect(body.text).toContain('Hi Grace,');
    expect(body.subject).toBe('My first e-book sold three copies');
  });

  it('an offer in it is the one that its step would promise this person: it was an invented one', async () => {
    const shown = async (): Promise<{ subject: string; text: string; invented: string[] }> =>
      (await post('preview', { template: 'emails/offer', subscriberId }).expect(200)).body;
    const promises = async (): Promise<unknown> =>
      t.dataSource.query('select count(*)::int as n from enrollment_offer');
    await t.dataSource.query(
      `update product set name = 'Second Kit', amount_minor = 8000 where key = 'launch-kit'`,
    );
    const first = await shown();
    expect(first.subject).toBe('Second Kit, for €56.00');
    // Three days from now, by the clock of the application.
    const end = new Date(t.clock.now().getTime() + 72 * 3_600_000);
    const day = new Intl.DateTimeFormat('en-GB', { month: 'short', day: 'numeric', timeZone: 'UTC' }).format(
      end,
    );
    expect(first.text.replace(/\s+/g, ' ')).toContain(day);
    expect(first.invented).toEqual([]);
    expect(await promises()).toEqual([{ n: 0 }]);

    const until = new Date(end.getTime() + 10 * 86_400_000);
    await t.dataSource.query(
      `with e as (insert into enrollment (sequence_id, version_id, subscriber_id, status, started_at)
         select id, current_version_id, $1, 'completed', $2 from sequence where funnel_key = 'niche-ebook' returning id)
       insert into enrollment_offer (enrollment_id, offer_slug, subscriber_id, expires_at, created_at, amount_minor, currency, product_id)
       select e.id, 'launch-kit', $1, $3, $2, 5000, 'EUR', p.id from e, product p where p.key = 'launch-kit'`,
      [subscriberId, t.clock.now(), until],
    );
    const promised = await shown();
    expect(promised.subject).toBe('Second Kit, for €50.00');
    const later = new Intl.DateTimeFormat('en-GB', {
      month: 'short',
      day: 'numeric',
      timeZone: 'UTC',
    }).format(until);
    expect(promised.text.replace(/\s+/g, ' ')).toContain(later);
    await t.dataSource.query(`delete from enrollment where subscriber_id = $1`, [subscriberId]);
    await t.dataSource.query(
      `update product set name = 'Niche Launch Kit', amount_minor = 4900 where key = 'launch-kit'`,
    );
  });

  it('says what in it is an example, as nobody can know it before', async () => {
    const { body } = await post('preview', { template: 'emails/receipt', subscriberId }).expect(200);
    expect(body.invented).toEqual(['order']);
    const story = await post('preview', { template: 'emails/story', subscriberId }).expect(200);
    expect(story.body.invented).toEqual([]);
    const welcome = await post('preview', { template: 'emails/welcome', subscriberId }).expect(200);
    expect(welcome.body.invented).toEqual(['download']);
  });

  it('checks a mail and says what is wrong with it', async () => {
    const { body } = await post('preflight', { template: 'emails/story' }).expect(200);
    expect(body).toMatchObject({ template: 'emails/story', kind: 'sequence', ok: true });
    const wrong = await post('preflight', { template: 'emails/receipt', kind: 'sequence' }).expect(200);
    expect(wrong.body.ok).toBe(false);
    expect(wrong.body.findings[0]).toMatchObject({
      check: 'variables',
      level: 'fail',
      file: 'templates/emails/receipt.mjml',
      line: expect.any(Number),
    });
    await post('preflight', { template: '../secret' }).expect(422);
    await post('preview', { template: 'emails/nowhere', subscriberId }).expect(404);
  });

  it('checks every mail of a funnel with what the funnel really gives it', async () => {
    const service = t.app.get(FunnelPreflightService, { strict: false });
    const report = await service.check('niche-ebook');
    expect(report.ok).toBe(true);
    expect(report.mails.map(({ template, kind }) => `${template} ${kind}`).sort()).toEqual([
      'emails/confirm confirmation',
      'emails/deep-dive sequence',
      'emails/nudge sequence',
      'emails/offer offer',
      'emails/receipt receipt',
      'emails/story sequence',
      'emails/welcome sequence',
    ]);
    await t.dataSource.query(
      `insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, data, started_at)
       select q.id, q.current_version_id, $1, 'active', 'story', now(), '{}', now() from sequence q where q.funnel_key = 'niche-ebook'`,
      [subscriberId],
    );
    const lacking = (await service.check('niche-ebook')).mails.flatMap(({ findings }) => findings);
    expect(lacking).toContainEqual(
      expect.objectContaining({
        check: 'audience',
        level: 'warn',
        subscribers: [subscriberId],
        message: expect.stringMatching(/^1 of 1 people in the funnel .* \{\{ download\.url \}\}/),
      }),
    );
    await t.dataSource.query(
      `update funnel set definition = (definition::jsonb #- '{definition,form,leadMagnet}')::json where key = 'niche-ebook'`,
    );
    // By the API one mail by itself is checked with an example of a download: the empty button of this funnel was not seen.
    const byApi = (key: string) =>
      t.http.post(`/api/v1/funnels/${key}/preflight`).set('authorization', `Bearer ${API_KEY}`);
    const { body: without } = (await byApi('niche-ebook').expect(200)) as { body: FunnelPreflight };
    expect(without).toMatchObject({ funnel: 'niche-ebook', ok: false, sender: [] });
    const welcome = without.mails.find(({ template }) => template === 'emails/welcome');
    expect(welcome?.findings).toContainEqual(
      expect.objectContaining({
        level: 'fail',
        message: expect.stringContaining('{{ download }}, which is empty'),
      }),
    );
    expect((await byApi('nothing').expect(404)).body.code).toBe('FUNNEL_NOT_FOUND');
  });

  it('checks the subject that one arm of a split test has of its own', async () => {
    const service = t.app.get(FunnelPreflightService, { strict: false });
    const arms = [{ key: 'first' }, { key: 'second', subject: 'For {{ subscriber.fields.nickname }}' }];
    await t.dataSource.query(
      `update funnel set definition = jsonb_insert(definition::jsonb, '{definition,sequence,steps,0}', $1)::json where key = 'niche-ebook'`,
      [JSON.stringify({ key: 'tested', email: 'emails/story', split: { judge: 'clicks', arms } })],
    );
    const tested = (await service.check('niche-ebook')).mails.filter(
      ({ template }) => template === 'emails/story',
    );
    expect(tested.map(({ ok }) => ok)).toEqual([true, false]);
    expect(tested[1]?.findings).toContainEqual(
      expect.objectContaining({
        level: 'fail',
        message: expect.stringMatching(/^with the subject "For .*": it prints .*, a field that none of/),
      }),
    );
  });
});
