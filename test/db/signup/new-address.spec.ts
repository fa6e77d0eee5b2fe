import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressHash } from '../../../src/subscribers/address-hash.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { UndeliverableService } from '../../../src/subscribers/undeliverable.service.js';
import { API_KEY, linkIn, startTestApp, type TestApp } from '../../support/app.js';
import { newReader, type Reader } from '../../support/reader.js';

const DAY_MS = 86_400_000;

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const api = (method: 'get' | 'post' | 'patch' | 'delete', path: string) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const moves = (id: string, email: string, more: object = {}) =>
  api('patch', `subscribers/${id}`).send({ email, ...more });
const suppressed = async (email: string): Promise<string[]> =>
  (await t.app.get(SuppressionsService).of(email))
    .map(({ scope, reason }) => `${scope} ${reason}`)
    .toSorted();
const statusOf = async (id: string): Promise<string> =>
  ((await api('get', `subscribers/${id}`).expect(200)).body as { status: string }).status;
const hash = (email: string): Buffer => addressHash(t.app.get<Config>(CONFIG).secretKey, email);
const comesBack = async (
  reader: Reader,
  email: string,
  reason: 'hard_bounce' | 'complaint' | 'soft_bounce',
): Promise<void> =>
  t.dataSource.transaction(async (manager) =>
    t.app
      .get(UndeliverableService)
      .giveUp(manager, reason, { addressHash: hash(email), subscriberId: reader.id, source: 'test' }),
  );
const waiting = async ({ id }: Reader): Promise<{ address: string; header: string; key: string }[]> =>
  t.dataSource.query(
    `select address, message_id_header as header, dedupe_key as key from message where subscriber_id = $1 and state = 'ready' order by id`,
    [id],
  );

describe('an address that the owner changes', () => {
  it('gets the mails from now on, the one that waited as the same mail, and nothing twice', async () => {
    const reader = await newReader(t, 'before@example.com');
    t.clock.advance(2 * DAY_MS + 3_600_000);
    await t.app.get(JobRunner).run('sequences.advance-due');
    const [planned, ...others] = await waiting(reader);
    expect([planned?.address, others]).toEqual([reader.email, []]);

    const { body } = await moves(reader.id, 'After@gmail.com', {
      name: 'Ada',
      emailNote: 'told me on the phone',
    }).expect(200);
    expect(body).toMatchObject({ id: reader.id, email: 'After@gmail.com', name: 'Ada', status: 'active' });
    expect(await waiting(reader)).toEqual([{ ...planned, address: 'After@gmail.com' }]);
    await t.runDue();
    expect(await t.mailsTo(reader.email)).toHaveLength(2);
    const [mail, ...more] = await t.mailsTo('After@gmail.com');
    expect(more).toEqual([]);
    expect(mail?.headers).toContainEqual({ name: 'Message-ID', value: planned?.header });
    const lanes = await t.dataSource.query(
      `select lane_key as lane, address_hash as hash from message where dedupe_key = $1`,
      [planned?.key],
    );
    expect(lanes).toEqual([{ lane: 'example.com|gmail', hash: hash('after@gmail.com') }]);

    // The same address again changes nothing, and another spelling of it is no other address.
    await moves(reader.id, 'After@gmail.com').expect(200);
    await moves(reader.id, 'after@gmail.com').expect(200);
    expect(
      await t.dataSource.query(
        `select kind, consent_text as words, page_url as page from consent_event where subscriber_id = $1 and purpose = 'address' order by id`,
        [reader.id],
      ),
    ).toMatchObject([
      {
        kind: 'granted',
        words: 'Send my mails to After@gmail.com, no longer to before@example.com (told me on the phone)',
        page: 'api',
      },
      { words: 'Send my mails to after@gmail.com, no longer to After@gmail.com' },
    ]);
    const told = await t.dataSource.query('select name from subscriber_event where subscriber_id = $1', [
      reader.id,
    ]);
    expect(told).toEqual([{ name: 'address-changed' }]);
  });

  it('is left by the link of a mail that went to the one before, and by a complaint about it', async () => {
    const reader = await newReader(t, 'old-link@example.com');
    await moves(reader.id, 'new-link@example.com').expect(200);
    await t.http.post(reader.unsubscribe).expect(200);
    expect(await statusOf(reader.id)).toBe('unsubscribed');
    for (const email of ['old-link@example.com', 'new-link@example.com'])
      expect(await suppressed(email)).toEqual(['marketing unsubscribed']);

    const angry = await newReader(t, 'angry@example.com');
    await moves(angry.id, 'calm@example.com').expect(200);
    await comesBack(angry, 'angry@example.com', 'complaint');
    expect(await statusOf(angry.id)).toBe('unsubscribed');
    expect(await suppressed('calm@example.com')).toEqual(['marketing unsubscribed']);
  });

  it('is not hit by a late bounce of the one before, and frees from one that had come', async () => {
    const reader = await newReader(t, 'dying@example.com');
    await moves(reader.id, 'living@example.com').expect(200);
    await comesBack(reader, 'dying@example.com', 'hard_bounce');
    expect([await statusOf(reader.id), await suppressed('living@example.com')]).toEqual(['active', []]);
    expect(await suppressed('dying@example.com')).toEqual(['all hard_bounce']);

    const gone = await newReader(t, 'gone@example.com');
    await comesBack(gone, 'gone@example.com', 'hard_bounce');
    await moves(gone.id, 'back@example.com').expect(200);
    expect([await statusOf(gone.id), await suppressed('back@example.com')]).toEqual(['active', []]);
  });

  it('stays what its owner was: no new address washes away that they left, complained or are blocked', async () => {
    const left = await newReader(t, 'left@example.com');
    await t.http.post(left.unsubscribe).expect(200);
    await moves(left.id, 'left-too@example.com').expect(200);
    expect([await statusOf(left.id), await suppressed('left-too@example.com')]).toEqual([
      'unsubscribed',
      ['marketing unsubscribed'],
    ]);
    const angry = await newReader(t, 'complains@example.com');
    await comesBack(angry, 'complains@example.com', 'complaint');
    await moves(angry.id, 'complains-too@example.com').expect(200);
    expect([await statusOf(angry.id), await suppressed('complains-too@example.com')]).toEqual([
      'complained',
      ['all complaint'],
    ]);
    // Who left and bounced after it has left still.
    const both = await newReader(t, 'both@example.com');
    await t.http.post(both.unsubscribe).expect(200);
    await comesBack(both, 'both@example.com', 'hard_bounce');
    await moves(both.id, 'both-too@example.com').expect(200);
    expect(await statusOf(both.id)).toBe('unsubscribed');
    const blocked = await newReader(t, 'blocked@example.com');
    await api('post', 'suppressions').send({ email: 'blocked@example.com' }).expect(201);
    await moves(blocked.id, 'blocked-too@example.com').expect(200);
    expect(await suppressed('blocked-too@example.com')).toEqual(['all manual']);
  });

  it('is neither somebody else’s nor one that no mail goes to', async () => {
    const [reader, other] = [await newReader(t, 'one@example.com'), await newReader(t, 'two@example.com')];
    const taken = await moves(reader.id, 'TWO@example.com', { name: 'Not kept' }).expect(409);
    expect(taken.body).toMatchObject({ code: 'SUBSCRIBER_ALREADY_EXISTS', facts: { id: other.id } });
    await api('post', 'suppressions').send({ email: 'no@example.com' }).expect(201);
    const no = await moves(reader.id, 'no@example.com').expect(409);
    expect(no.body.code).toBe('SUBSCRIBER_ADDRESS_CONFLICT');
    await moves(reader.id, 'no address').expect(422);
    const { body } = await api('get', `subscribers/${reader.id}`).expect(200);
    expect(body).toMatchObject({ email: 'one@example.com', name: null });
  });

  it('is asked to be confirmed where that was open: a link that went elsewhere confirms nothing of it', async () => {
    await t.http.post('/p/niches').type('form').send({ email: 'tpyo@example.com' }).expect(200);
    await t.runDue();
    const [asked] = await t.mailsTo('tpyo@example.com');
    const [{ id }]: [{ id: string }] = await t.dataSource.query(
      `select id from subscriber where email_key = 'tpyo@example.com'`,
    );
    await moves(id, 'typo@example.com').expect(200);
    await t.runDue();
    const link = linkIn(asked as NonNullable<typeof asked>, /\/confirm\//);
    const refused = await t.http.post(link).expect(410);
    expect(refused.text).toContain('Your address has changed');
    expect(refused.text).toContain('href="/p/niches"');
    expect(await statusOf(id)).toBe('pending');
    const [anew, ...more] = await t.mailsTo('typo@example.com');
    expect(more).toEqual([]);
    await t.http.post(linkIn(anew as NonNullable<typeof anew>, /\/confirm\//)).expect(200);
    expect(await statusOf(id)).toBe('active');
  });

  it('leaves no way back to any of them when the person is erased', async () => {
    const reader = await newReader(t, 'first-canary@example.com');
    await moves(reader.id, 'second-canary@example.com').expect(200);
    const { body } = await api('get', `subscribers/${reader.id}/export`).expect(200);
    expect(body.addressChanges).toMatchObject([
      { from: 'first-canary@example.com', to: 'second-canary@example.com', by: 'api' },
    ]);
    await api('delete', `subscribers/${reader.id}`).expect(204);
    for (const email of ['first-canary@example.com', 'second-canary@example.com']) {
      expect(await suppressed(email)).toContain('all erased');
      expect(await t.mailsTo(email)).toEqual([]);
    }
    const rows = await t.dataSource.query(
      `select 1 from message where address like '%canary%' union all select 1 from address_change where email like '%canary%'`,
    );
    expect(rows).toEqual([]);
  });
});
