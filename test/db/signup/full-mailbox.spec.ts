import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BouncesService } from '../../../src/bounces/bounces.service.js';
import { plainEvent } from '../../../src/bounces/providers/provider-event.js';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { addressHash } from '../../../src/subscribers/address-hash.js';
import { linkIn, startTestApp, API_KEY, type TestApp, type TestMail } from '../../support/app.js';
import { ownerPages } from '../../support/owner-pages.js';
import { FULL, openBounceOffice } from '../bounces/bounce-office.js';

const DAY_MS = 86_400_000;

describe('a mailbox that was full for five mails in a row', () => {
  let t: TestApp;
  let cookie = '';
  let mails = 0;
  beforeAll(async () => {
    t = await startTestApp();
    ({ cookie } = await ownerPages(t));
  });
  afterAll(async () => t.close());

  const signUp = async (email: string): Promise<void> => {
    await t.dataSource.query('delete from rate_limit');
    await t.http.post('/p/niches').type('form').send({ email }).expect(200);
    await t.runDue();
  };
  const asked = async (email: string): Promise<TestMail[]> =>
    (await t.mailsTo(email)).filter(({ html }) => html.includes('/confirm/'));
  const confirm = async (email: string): Promise<void> => {
    const link = linkIn((await asked(email)).at(-1) as TestMail, /\/confirm\//);
    await t.http.post(link).expect(200);
  };
  const person = async (email: string): Promise<{ id: string; status: string }> => {
    const [found] = await t.dataSource.query<{ id: string; status: string }[]>(
      'select id, status from subscriber where email_key = $1',
      [email],
    );
    return found ?? { id: '', status: 'nobody' };
  };
  const entries = async (email: string): Promise<string[]> => {
    const { body } = await t.http
      .get(`/api/v1/suppressions?email=${encodeURIComponent(email)}`)
      .set('authorization', `Bearer ${API_KEY}`)
      .expect(200);
    return (body as { data: { scope: string; reason: string }[] }).data.map(
      ({ scope, reason }) => `${scope} ${reason}`,
    );
  };
  const sent = async (email: string): Promise<string> => {
    const secret = t.app.get<Config>(CONFIG).secretKey;
    const rows: { id: string }[] = await t.dataSource.query(
      `insert into message (dedupe_key, class, kind, subscriber_id, email_template_id, sender, address, address_hash,
         message_id_header, state, due_at, accepted_at, created_at, lane_key)
       select $2, 'marketing', 'sequence', $1, (select min(id) from email_template), '{}', $3, $4, $2, 'accepted', $5, $5, $5, 'a|b'
       returning id`,
      [(await person(email)).id, `full:${++mails}`, email, addressHash(secret, email), t.clock.now()],
    );
    return rows[0]?.id ?? '';
  };
  const comesBack = async (email: string, reason: 'mailbox_full' | 'user_unknown'): Promise<void> => {
    const id = await sent(email);
    t.clock.advance(DAY_MS);
    await isReported(id, email, reason);
  };
  const isReported = async (
    id: string,
    email: string,
    reason: 'mailbox_full' | 'user_unknown',
  ): Promise<void> => {
    const returnPath = verpAddress(t.app.get<Config>(CONFIG).secretKey, id, 'bounce.example.com');
    const verdict = reason === 'mailbox_full' ? 'soft' : 'hard';
    const judged = plainEvent({ recipient: email, returnPath, reporter: 'test' }, { verdict, reason });
    const taken = await t.app.get(BouncesService).take({ judged, source: 'ses', envelopeTo: [] });
    expect(taken).toBe('counted');
  };
  const full = async (email: string): Promise<void> => {
    await signUp(email);
    await confirm(email);
    // What its funnel has sent has arrived.
    t.clock.advance(DAY_MS / 24);
    for (let count = 1; count <= 5; count++) await comesBack(email, 'mailbox_full');
    expect((await person(email)).status).toBe('bounced');
  };
  const writeAgain = async (email: string) =>
    t.http
      .post(`/api/v1/subscribers/${(await person(email)).id}/write-again`)
      .set('authorization', `Bearer ${API_KEY}`);

  it('got no mail ever again: its owner may sign up and confirm anew, and is written to as before', async () => {
    const email = 'away@example.com';
    await full(email);
    expect(await entries(email)).toEqual(['marketing soft_bounce']);
    const before = (await asked(email)).length;
    await signUp(email);
    expect(await asked(email)).toHaveLength(before + 1);
    expect((await person(email)).status).toBe('bounced');
    await confirm(email);
    expect((await person(email)).status).toBe('active');
    expect(await entries(email)).toEqual([]);
    // What failed before the mailbox worked again is forgotten.
    await comesBack(email, 'mailbox_full');
    expect((await person(email)).status).toBe('active');
  });

  it('is written to again when the owner decides so, by the API and on the page of the person', async () => {
    for (const by of ['api', 'page']) {
      const email = `${by}@example.com`;
      await full(email);
      const page = `/admin/subscribers/${(await person(email)).id}`;
      const shown = async (): Promise<string> =>
        (await t.http.get(page).set('Cookie', cookie).expect(200)).text;
      expect(await shown()).toContain('Write to this address again');
      if (by === 'api') expect((await writeAgain(email)).body).toMatchObject({ status: 'active' });
      else await t.http.post(`${page}/write-again`).set('Cookie', cookie).expect(303);
      expect((await person(email)).status).toBe('active');
      expect(await entries(email)).toEqual([]);
      expect(await shown()).not.toContain('Write to this address again');
      expect((await writeAgain(email)).status).toBe(409);
    }
  });

  it('stays away when it is dead by words of its server, whoever asks', async () => {
    const email = 'dead@example.com';
    await full(email);
    await comesBack(email, 'user_unknown');
    const before = (await asked(email)).length;
    await signUp(email);
    expect(await asked(email)).toHaveLength(before);
    expect((await writeAgain(email)).status).toBe(409);
    expect((await person(email)).status).toBe('bounced');
  });

  it('stays away when its owner has left since: the sender decides nothing against that', async () => {
    const email = 'left@example.com';
    await full(email);
    await t.http
      .post(`/api/v1/subscribers/${(await person(email)).id}/unsubscribe`)
      .set('authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(await entries(email)).toEqual(['marketing unsubscribed']);
    expect((await writeAgain(email)).status).toBe(409);
  });

  it('was ended again by reports about mails from before its owner confirmed anew, which a relay told of days later', async () => {
    const email = 'late@example.com';
    await full(email);
    const before: string[] = [];
    for (let count = 1; count <= 5; count++) before.push(await sent(email));
    t.clock.advance(DAY_MS);
    await signUp(email);
    await confirm(email);
    for (const id of before) {
      t.clock.advance(DAY_MS / 24);
      await isReported(id, email, 'mailbox_full');
    }
    expect((await person(email)).status).toBe('active');
    // What is sent from now on counts.
    for (let count = 1; count <= 5; count++) await comesBack(email, 'mailbox_full');
    expect((await person(email)).status).toBe('bounced');
  });

  it('stayed away for good once the owner had blocked the address for a while', async () => {
    for (const way of ['confirms', 'owner']) {
      const email = `${way}@example.com`;
      await full(email);
      const { body } = await t.http
        .post('/api/v1/suppressions')
        .set('authorization', `Bearer ${API_KEY}`)
        .send({ email, scope: 'marketing' })
        .expect(201);
      expect(await entries(email)).toEqual(['marketing manual']);
      await t.http
        .delete(`/api/v1/suppressions/${(body as { id: string }).id}`)
        .set('authorization', `Bearer ${API_KEY}`)
        .expect(204);
      expect(await entries(email)).toEqual([]);
      if (way === 'owner') await writeAgain(email);
      else {
        const before = (await asked(email)).length;
        await signUp(email);
        expect(await asked(email)).toHaveLength(before + 1);
        await confirm(email);
      }
      expect((await person(email)).status).toBe('active');
    }
  });

  it('had four confirmations tried each day by any stranger, for ever: it is one', async () => {
    const email = 'tried@example.com';
    await full(email);
    const before = (await asked(email)).length;
    for (let day = 1; day <= 3; day++) {
      for (let times = 1; times <= 2; times++) {
        await signUp(email);
        await t.dataSource.query(
          `update message set state = 'rejected' where address = $1 and kind = 'confirmation' and state = 'accepted'`,
          [email],
        );
        expect(await asked(email)).toHaveLength(before + day);
      }
      t.clock.advance(DAY_MS);
    }
  });
});

it('a mailbox that was full for five mails in a row got no receipt either, and gets it', async () => {
  const office = await openBounceOffice();
  try {
    const email = 'buyer@example.org';
    for (let count = 1; count <= 5; count++) {
      const id = await office.sent(email);
      office.clock.advance(DAY_MS);
      await office.comesBack(id, FULL);
    }
    expect([await office.status(email), await office.suppressed(email)]).toEqual([
      'bounced',
      ['marketing soft_bounce'],
    ]);
    const rows: { id: string }[] = await office.db.query('select id from subscriber where email = $1', [
      email,
    ]);
    const to = { subscriberId: rows[0]?.id ?? '' };
    const receipt = await office.plan(email, {
      ...to,
      dedupeKey: 'receipt:1',
      class: 'transactional',
      kind: 'receipt',
    });
    const news = await office.plan(email, { ...to, dedupeKey: 'news' });
    await office.sendDue();
    expect(await office.state(receipt)).toMatchObject({ state: 'accepted' });
    expect(await office.state(news)).toMatchObject({ state: 'suppressed' });
  } finally {
    await office.close();
  }
});
