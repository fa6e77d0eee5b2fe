import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { ApiMails } from '../../../../src/delivery/api-mails/api-mails.service.js';
import { verpToken } from '../../../../src/delivery/mails/verp.js';
import { parseEmailAddress } from '../../../../src/values/email-address.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { ownerPages, plain } from '../../../support/owner-pages.js';
import { newReader } from '../../../support/reader.js';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { POSTMARK_SECRET, PROVIDER_VARIABLES } from '../../bounces/provider-keys.js';

const DATA = {
  order: 'A-1042',
  carrier: 'Mill Lane Parcels',
  url: 'https://shop.example.com/parcels/A-1042',
};
const wanted = (to: string, more: object = {}) => ({ template: 'emails/shipped', to, data: DATA, ...more });

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp({ variables: PROVIDER_VARIABLES });
});
afterAll(async () => t.close());

const post = (path: string, body: object, key?: string) => {
  const request = t.http.post(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
  return (key === undefined ? request : request.set('Idempotency-Key', key)).send(body);
};
const get = async (path: string) =>
  (await t.http.get(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).expect(200)).body;
const sent = async (to: string, more: object = {}): Promise<string> => {
  const { body } = await post('messages', wanted(to, more)).expect(201);
  await t.runDue();
  return body.id as string;
};
const row = async (id: string): Promise<Record<string, unknown>> => {
  const rows: Record<string, unknown>[] = await t.dataSource.query('select * from message where id = $1', [
    id,
  ]);
  return rows[0] ?? {};
};

describe('a shop could send no mail of its own to a buyer by the API', () => {
  it('of a template, with its data, to somebody who is no subscriber', async () => {
    const to = 'anybody@example.com';
    const data = { ...DATA, carrier: '{{ sender.name }} <b>& Sons</b>' };
    const asked = await post('messages', wanted(to, { data, replyTo: 'help@example.com' })).expect(201);
    expect(asked.body).toMatchObject({
      ...{ kind: 'api', class: 'transactional', state: 'ready', template: 'emails/shipped' },
      ...{ subscriberId: null, broadcastId: null },
    });
    await t.runDue();
    const [mail] = await t.mailsTo(to);
    expect(mail?.subject).toBe('Your order A-1042 is on its way');
    expect(mail?.html).toContain('{{ sender.name }} &lt;b&gt;&amp; Sons&lt;/b&gt; has the parcel');
    expect(mail?.html).toContain('href="https://shop.example.com/parcels/A-1042"');
    expect(mail?.text).toContain('12 Mill Lane, Springfield');
    const headers = new Map(mail?.headers.map(({ name, value }) => [name.toLowerCase(), value]));
    expect(headers.get('reply-to')).toBe('help@example.com');
    expect([...headers.keys()].filter((name) => name.startsWith('list-'))).toEqual([]);
    expect(await get(`messages/${asked.body.id}`)).toMatchObject({ state: 'accepted' });
    const { chain } = await get(`messages/${asked.body.id}/explain`);
    expect(chain[0]).toMatchObject({ code: 'PLANNED_BY_API' });
  });

  it('to a subscriber who has left, with a subject of its own, shown on their page', async () => {
    const reader = await newReader(t, 'left@example.com');
    await t.dataSource.query(`update subscriber set status = 'unsubscribed' where id = $1`, [reader.id]);
    await t.dataSource.query(
      `insert into suppression (email_hash, scope, reason, source, created_at)
       select address_hash, 'marketing', 'unsubscribed', 'the test', now() from message where subscriber_id = $1 limit 1`,
      [reader.id],
    );
    const id = await sent('left@example.com', { subject: 'Parcel {{ data.order }} & more' });
    expect((await t.mailsTo('left@example.com')).at(-1)?.subject).toBe('Parcel {{ data.order }} & more');
    expect(await get(`messages/${id}`)).toMatchObject({ state: 'accepted', subscriberId: reader.id });
    const owner = await ownerPages(t);
    expect(plain(await owner.get(`/admin/subscribers/${reader.id}`))).toContain(
      'Parcel {{ data.order }} & more',
    );
    expect(await get(`messages?subscriberId=${reader.id}`)).toMatchObject({
      data: expect.arrayContaining([expect.objectContaining({ id, kind: 'api' })]),
    });
  });

  it('to nobody whose address is dead: the bounce of one is known to the next', async () => {
    const to = 'dead@example.com';
    const id = await sent(to);
    await t.http
      .post('/api/public/hooks/postmark')
      .auth('hooks', POSTMARK_SECRET)
      .send({
        ...{ RecordType: 'Bounce', Type: 'HardBounce', Email: to, Details: '550 5.1.1 No such user' },
        Metadata: { wellspring: verpToken(t.app.get<Config>(CONFIG).secretKey, id) },
      })
      .expect(200);
    expect(await get(`messages/${await sent(to)}`)).toMatchObject({ state: 'suppressed' });
    expect(await t.mailsTo(to)).toHaveLength(1);
  });

  it('from a sender of its own, and in the name of a funnel', async () => {
    const sender = { name: 'Grace', email: 'grace@example.org', postalAddress: '12 Mill Lane, Springfield' };
    const shown = await post('messages/preview', wanted('own@example.com', { sender })).expect(200);
    expect(shown.body).toMatchObject({
      sender,
      subscriberId: null,
      subject: 'Your order A-1042 is on its way',
    });
    expect(shown.body.text).toContain('12 Mill Lane');
    expect(await t.mailsTo('own@example.com')).toEqual([]);
    await post('messages', wanted('own@example.com', { funnel: 'nothing' })).expect(404);
    const { body } = await post('messages', wanted('own@example.com', { funnel: 'niche-ebook' })).expect(201);
    expect(body).toMatchObject({ funnelKey: 'niche-ebook' });
  });

  it('of words written in the web app, which has no other templates for them: without the way out of a broadcast', async () => {
    await t.dataSource.query(
      `insert into written_mail (key, subject, preview, body, created_at, updated_at)
       values ('written/code', 'Your code', '', 'It is **{{ data.code }}**.', now(), now())`,
    );
    const mail = { template: 'written/code', to: 'code@example.com', data: { code: 'K7' } };
    await post('messages', mail).expect(201);
    await t.runDue();
    const [got] = await t.mailsTo('code@example.com');
    expect(got?.html).toContain('<strong>K7</strong>');
    expect(got?.html).not.toMatch(/unsubscribe/i);
  });
});

describe('a mail of a program that would come out wrong', () => {
  const refused = async (more: object, status = 422) =>
    (await post('messages', wanted('picky@example.com', more)).expect(status)).body;

  it('is refused, with the names of what is missing', async () => {
    const body = await refused({ data: { order: 'A-1' } });
    expect(body.code).toBe('MESSAGE_VARIABLES_INVALID');
    expect(body.errors.map(({ field }: { field: string }) => field)).toEqual(['data.carrier', 'data.url']);
  });

  it('is refused where its template is one of marketing', async () => {
    const body = await refused({ template: 'emails/story' });
    expect(body.code).toBe('MESSAGE_VARIABLES_INVALID');
    expect(body.errors).toContainEqual({
      field: 'template',
      message: expect.stringContaining('{{ unsubscribeUrl }}'),
    });
  });

  it('is refused with the field that is wrong', async () => {
    const deep = JSON.parse(`${'{"a":'.repeat(11)}1${'}'.repeat(11)}`) as object;
    const cases: [field: string, more: object][] = [
      ['to', { to: 'nobody' }],
      ['replyTo', { replyTo: 'ada@example.com\r\nBcc: eve@example.com' }],
      ['subject', { subject: 'one\ntwo' }],
      ['data', { data: { ...DATA, carrier: 'x'.repeat(100_000) } }],
      ['data', { data: deep }],
      ['data', { data: { ...DATA, url: 'javascript:alert(1)' } }],
      ['data', { data: { ...DATA, order: 'one\ntwo' } }],
      ['funnels', { funnels: 'niche-ebook' }],
    ];
    for (const [field, more] of cases) expect((await refused(more)).errors[0].field).toBe(field);
    expect(await refused({ template: 'emails/nothing' }, 404)).toMatchObject({ code: 'TEMPLATE_NOT_FOUND' });
  });

  it('is checked beforehand: what a program gives is made up', async () => {
    const { body } = await post('templates/preflight', { template: 'emails/shipped' }).expect(200);
    const failed = body.findings.filter(({ level }: { level: string }) => level === 'fail');
    expect([body.kind, failed]).toEqual(['api', []]);
  });

  it('is not sent without an end: to one mailbox sixty an hour, however it is spelt', async () => {
    for (let nth = 0; nth < 60; nth++) await post('messages', wanted(`often+${nth}@example.com`)).expect(201);
    const answer = await post('messages', wanted('often@example.com')).expect(429);
    expect(answer.body.code).toBe('MESSAGE_RATE_LIMITED');
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    const kept: { count: string }[] = await t.dataSource.query(
      `select count(*) from rate_limit where key like '%often%'`,
    );
    expect(kept[0]?.count).toBe('0');
  });
});

describe('a program that asks for very many', () => {
  it('is stopped after a thousand a minute, and goes on with the next', async () => {
    await post('messages', wanted('many@example.com')).expect(201);
    const ofKey = `key like 'api-mail-key:%'`;
    await t.dataSource.query(`update rate_limit set points = 999 where ${ofKey}`);
    await post('messages', wanted('many@example.com')).expect(201);
    const stopped = await post('messages', wanted('others@example.com')).expect(429);
    expect(stopped.body.code).toBe('MESSAGE_RATE_LIMITED');
    t.clock.advance(Number(stopped.headers['retry-after']) * 1000);
    await post('messages', wanted('others@example.com')).expect(201);
  });

  it('and has sixty refused has the right one sent: they counted as mails to the mailbox', async () => {
    const to = 'mistaken@example.com';
    for (let nth = 0; nth < 60; nth++) await post('messages', wanted(to, { data: {} })).expect(422);
    expect((await post('messages', wanted(to))).status).toBe(201);
  });

  it('wrote the words and links of the template once more with each', async () => {
    const rows = async (): Promise<unknown> =>
      t.dataSource.query(
        `select 'words' as what, id, xmin::text from email_template union all select 'link', id, xmin::text from link order by 1, 2`,
      );
    await post('messages', wanted('thrifty@example.com')).expect(201);
    const before = await rows();
    await post('messages', wanted('thrifty@example.com')).expect(201);
    expect(await rows()).toEqual(before);
  });
});

describe('a program that asks twice', () => {
  it('with one key sends one mail, also when the first answer was lost in a crash', async () => {
    const first = await post('messages', wanted('twice@example.com'), 'order-1042').expect(201);
    await t.dataSource.query('delete from idempotency_key');
    const again = await post('messages', wanted('twice@example.com'), 'order-1042').expect(201);
    expect(again.body.id).toBe(first.body.id);
    const other = await post('messages', wanted('twice@example.com'), 'order-1043').expect(201);
    expect(other.body.id).not.toBe(first.body.id);
    await t.runDue();
    expect(await t.mailsTo('twice@example.com')).toHaveLength(2);
  });

  it('is not refused what has gone because its template is another by now, or is gone', async () => {
    await t.dataSource.query(
      `insert into written_mail (key, subject, preview, body, created_at, updated_at)
       values ('written/late', 'Your code', '', 'It is {{ data.code }}.', now(), now())`,
    );
    const mail = { template: 'written/late', to: 'late@example.com', data: { code: 'K7' } };
    const first = await post('messages', mail, 'late').expect(201);
    for (const change of [
      `update written_mail set body = '{{ data.more }}' where key = 'written/late'`,
      `delete from written_mail where key = 'written/late'`,
    ]) {
      await t.dataSource.query('delete from idempotency_key');
      await t.dataSource.query(change);
      expect((await post('messages', mail, 'late')).body.id).toBe(first.body.id);
    }
  });

  it('from two processes at once plans one', async () => {
    const to = parseEmailAddress('atonce@example.com');
    if (!to.ok) throw new Error(to.reason);
    const mails = t.app.get(ApiMails, { strict: false });
    const ids = await Promise.all(
      [1, 2, 3].map(async () => mails.send({ template: 'emails/shipped', to, data: DATA }, 'one name')),
    );
    expect(new Set(ids).size).toBe(1);
  });
});

describe('what a program gave for a mail', () => {
  it('was kept for good: 30 days after the end of the mail it goes', async () => {
    const [old, young] = [await sent('old@example.com'), await sent('young@example.com')];
    await t.dataSource.query(
      `update message set settled_at = settled_at - interval '31 days' where id = $1`,
      [old],
    );
    await t.app.get(JobRunner).run('delivery.forget-data');
    expect((await row(old))['data']).toEqual({});
    expect(await row(young)).toMatchObject({ data: { data: DATA }, address: 'young@example.com' });
  });

  it('goes with the address of who is no subscriber: nobody could erase them', async () => {
    await newReader(t, 'knows@example.com');
    const [nobodys, theirs] = [await sent('nobody@example.com'), await sent('knows@example.com')];
    await t.dataSource.query(
      `update message set settled_at = settled_at - interval '31 days', reply_text = '250 for nobody@example.com' where id = any ($1)`,
      [[nobodys, theirs]],
    );
    await t.app.get(JobRunner).run('delivery.forget-data');
    expect(await row(nobodys)).toMatchObject({ data: {}, address: 'erased', reply_text: null });
    expect(await row(theirs)).toMatchObject({ data: {}, address: 'knows@example.com' });
    expect(await get(`messages/${nobodys}`)).toMatchObject({ state: 'accepted' });
  });

  it('is shown to who had the address before they moved to another', async () => {
    await sent('moved-from@example.com');
    const reader = await newReader(t, 'moved-from@example.com');
    await t.http
      .patch(`/api/v1/subscribers/${reader.id}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ email: 'moved-to@example.com' })
      .expect(200);
    const { mails } = await get(`subscribers/${reader.id}/export`);
    expect(mails.filter(({ kind }: { kind: string }) => kind === 'api')).toHaveLength(1);
  });

  it('is theirs who has the address: shown to them, and erased with them, from before they signed up, too', async () => {
    const data = { ...DATA, order: 'zanzibarine' };
    const before = await sent('theirs@example.com', { data });
    const reader = await newReader(t, 'theirs@example.com');
    const after = await sent('theirs@example.com', { data, subject: 'Hello zanzibarine' });
    await post('messages', wanted('theirs@example.com', { data })).expect(201);
    const { mails } = await get(`subscribers/${reader.id}/export`);
    expect(mails.filter(({ kind }: { kind: string }) => kind === 'api')).toHaveLength(3);
    await t.http
      .delete(`/api/v1/subscribers/${reader.id}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(204);
    for (const id of [before, after])
      expect(await row(id)).toMatchObject({
        data: {},
        subscriber_id: null,
        address: expect.not.stringMatching('@'),
      });
    const left: unknown[] = await t.dataSource.query(
      `select 1 from message where data::text like '%zanzibarine%' or address = 'theirs@example.com'`,
    );
    expect(left).toEqual([]);
    const later = await sent('theirs@example.com');
    expect(await get(`messages/${later}`)).toMatchObject({ state: 'suppressed' });
  });
});

describe('a mail of a program whose end nobody can say', () => {
  let sink: SmtpSink;
  let away: TestApp;
  beforeAll(async () => {
    sink = await openSmtpSink();
    away = await startTestApp({ relay: sink.url });
  });
  afterAll(async () => {
    await away.close();
    await sink.close();
  });

  it('is sent once more, and not a third time', async () => {
    sink.onBody = async () => 'drop';
    const { body } = await away.http
      .post('/api/v1/messages')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send(wanted('lost@example.com'))
      .expect(201);
    for (let hour = 0; hour < 4; hour++) {
      await away.runDue();
      away.clock.advance(3_600_000);
    }
    expect(sink.bodiesBegun).toBe(2);
    const { body: message } = await away.http
      .get(`/api/v1/messages/${body.id}`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(message).toMatchObject({ state: 'unknown' });
  });
});
