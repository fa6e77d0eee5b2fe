import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdminModule } from '../../../../src/admin/admin.module.js';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { FREQUENCY_CAP, LEFT_BEHIND, OUTSIDE_HOURS } from '../../../../src/delivery/message/state-reasons.js';
import { insertMessage } from '../../delivery/pacing/pacing-app.js';
import { API_KEY, OPENED_AT, openShop, type Shop } from '../../orders/shop.js';
import { empty } from '../../../support/database.js';
import { ownerPages } from '../../../support/owner-pages.js';

describe('the page Sending', () => {
  let shop: Shop;
  let cookie = '';
  beforeAll(async () => {
    shop = await openShop({ modules: [AdminModule], env: { BASE_URL: 'http://localhost:3000' } });
    ({ cookie } = await ownerPages(shop));
  });
  afterAll(async () => shop.close());

  const page = async (): Promise<string> =>
    (await shop.http.get('/admin/sending').set('Cookie', cookie).expect(200)).text;
  const post = (path: string, form: Record<string, string>) =>
    shop.http.post(`/admin/sending/${path}`).set('Cookie', cookie).type('form').send(form);
  const states = async (): Promise<unknown> =>
    shop.db.query(`select state, count(*)::int as n from message group by 1 order by 1`);

  it('is for the owner', async () => {
    expect((await shop.http.get('/admin/sending')).headers['location']).toMatch(/^\/admin\/login/);
    await shop.http
      .post('/admin/sending/held')
      .type('form')
      .send({ reason: 'a', decision: 'cancel' })
      .expect(303);
    await post('held', { reason: 'a', decision: 'cancel' }).set('Origin', 'https://evil.example').expect(403);
  });

  it('shows a paused sequence and lets it go on; the API does both', async () => {
    const api = (path: string) =>
      shop.http.post(`/api/v1/sending/sequences/${path}`).set('Authorization', `Bearer ${API_KEY}`);
    await api('nothing/pause').expect(404);
    await shop.db.query(
      `insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
       values ('guide', 'Guide', '{}', '', 1, now(), now())`,
    );
    for (let time = 0; time < 2; time++)
      expect((await api('guide/pause').expect(200)).body).toEqual({ released: 0 });
    expect(await page()).toContain('paused by the owner');
    await post('sequences', { funnel: 'guide' }).expect(303);
    expect(await page()).not.toContain('Paused sequences');
    expect((await api('guide/resume').expect(200)).body).toEqual({ released: 0 });
    await shop.db.query(`delete from funnel where key = 'guide'`);
  });

  it('says that all is well', async () => {
    const html = await page();
    expect(html).toContain('mails may go out');
    expect(html).toContain('No mail is held.');
    expect(html).toContain('127.0.0.1:1');
    expect(html).toContain('receipts and confirmations for 7 days, all others for 5');
    expect(html).toContain('aria-current="page">Sending');
  });

  it('shows limits, slowed lanes, warm-ups, alerts and what waits, with every text escaped', async () => {
    await shop.db.query(
      `insert into send_bucket (key, rate_per_second, tokens, refilled_at, daily_quota, ramp_started_on, slow_factor, updated_at)
       values ('global', 20, 0, now(), 5000, null, 1, now()), ('lane:example.com|gmail', 1, 0, now(), null, null, 0.5, now()),
         ('sender:example.com', null, 0, now(), null, $1, 1, now())`,
      ['2026-03-01'],
    );
    await insertMessage(shop.db);
    await insertMessage(shop.db, { state: 'held', state_reason: '<b>reason</b>' });
    await insertMessage(shop.db, { state: 'unknown' });
    await shop.app
      .get(AlertsService, { strict: false })
      .raise({ key: 'k', severity: 'warning', message: 'A <trouble>' });
    const html = await page();
    for (const text of [
      'All mails',
      '20 a second',
      'From example.com to Gmail',
      '30 a minute',
      'slowed down',
      'warming up since 2026-03-01',
      '&lt;b&gt;reason&lt;/b&gt;',
      'A &lt;trouble&gt;',
      'The limit that decides: All mails',
    ])
      expect(html).toContain(text);
    expect(html).toMatch(/the last of them goes out by <strong[^>]*>[^<]*\b2 Mar 2026\b[^<]*<\/strong>/);
    expect(html).not.toContain('<b>reason');
  });

  it('leaves out the pace of a relay that is in use no more', async () => {
    await shop.db.query(
      `insert into send_bucket (key, rate_per_second, tokens, refilled_at, slow_factor, updated_at)
       values ('lane:example.com|yahoo@127.0.0.1', 1, 0, now(), 0.5, now()), ('lane:example.com|yahoo@gone', 1, 0, now(), 0.5, now())`,
    );
    const html = await page();
    expect(html).toContain('From example.com to Yahoo by 127.0.0.1');
    expect(html).not.toContain('by gone');
    await shop.db.query(`delete from send_bucket where key like '%yahoo%'`);
  });

  it('says how many mails were put off, why, and when they are tried again', async () => {
    expect(await page()).not.toContain('Put off');
    const inMinutes = (minutes: number): Date => new Date(OPENED_AT.getTime() + minutes * 60_000);
    const putOff = { reply_code: 451, attempt: 1, due_at: inMinutes(5) };
    await insertMessage(shop.db, { ...putOff, state_reason: 'greylisted' });
    await insertMessage(shop.db, { ...putOff, state_reason: 'greylisted', due_at: inMinutes(15) });
    await insertMessage(shop.db, { ...putOff, state_reason: 'mailbox_full', reply_code: 452 });
    // Of these one is due again, and the other waits for its hour, as nobody has said anything of it.
    await insertMessage(shop.db, { ...putOff, state_reason: 'greylisted', due_at: inMinutes(-1) });
    await insertMessage(shop.db, { due_at: inMinutes(5) });
    const html = await page();
    const rows = [
      ...html.matchAll(
        /<th scope="row">([^<]*)<\/th>\s*<td class="number" data-label="Mails">(\d+)<\/td>\s*<td data-label="Next try">([^<]*)<br><span class="small muted">([^<]*)/g,
      ),
    ];
    expect(rows.map(([, ...cells]) => cells)).toEqual([
      [
        'the receiver greylists',
        '2',
        expect.stringMatching(/09:05/),
        expect.stringMatching(/^the last .*09:15/),
      ],
    ]);
    expect(html).toMatch(/mailbox full<\/th>\s*<td class="number" data-label="Mails">1</);
    const { body } = await shop.http.get('/api/v1/sending/state').set('Authorization', `Bearer ${API_KEY}`);
    expect(body.putOff).toEqual([
      {
        reason: 'greylisted',
        count: 2,
        nextAt: inMinutes(5).toISOString(),
        lastAt: inMinutes(15).toISOString(),
      },
      {
        reason: 'mailbox_full',
        count: 1,
        nextAt: inMinutes(5).toISOString(),
        lastAt: inMinutes(5).toISOString(),
      },
    ]);
    await shop.db.query('delete from message where reply_code is not null');
  });

  it('counts no mail as put off that waits for its hours or for its worker, though it was put off before', async () => {
    const waits = { reply_code: 451, due_at: new Date(OPENED_AT.getTime() + 5 * 60_000) };
    const reasons = [OUTSIDE_HOURS, `${FREQUENCY_CAP}: 1 a day`, LEFT_BEHIND];
    for (const reason of reasons) await insertMessage(shop.db, { ...waits, state_reason: reason });
    const { body } = await shop.http.get('/api/v1/sending/state').set('Authorization', `Bearer ${API_KEY}`);
    await shop.db.query('delete from message where reply_code is not null');
    expect(body.putOff).toEqual([]);
  });

  it('does not call a relay working that no mail has tried yet', async () => {
    await empty(shop.db, 'relay_state');
    const badge = async () => /badge-\w+">(working|not tried yet)/.exec(await page())?.[0];
    expect(await badge()).toBe('badge-warn">not tried yet');
    expect(await page()).toContain('mails may go out');
    await shop.app.get(RelaysService, { strict: false }).worked({ name: '127.0.0.1' });
    expect(await badge()).toBe('badge-good">working');
  });

  it('says beside its title that no relay works, and not that mails may go out', async () => {
    const relays = shop.app.get(RelaysService, { strict: false });
    for (const { name } of await relays.view())
      for (let time = 0; time < 5; time++) await relays.failed({ name }, 'connect', '421 later');
    const html = await page();
    expect(html).toContain('badge-bad">no mail relay works');
    expect(html).not.toContain('mails may go out');
    expect(html).toMatch(/next try [A-Z]/);
    await shop.db.query(`update relay_state set opened_until = now() - interval '1 year'`);
    expect(await page()).toContain('next try with the next mail that is due');
    await empty(shop.db, 'relay_state, alert');
  });

  it('shows a critical alert before the warnings that came after it', async () => {
    const alerts = shop.app.get(AlertsService, { strict: false });
    await alerts.raise({ key: 'grave', severity: 'critical', message: 'A grave one' });
    await alerts.raise({ key: 'later', severity: 'warning', message: 'A later one' });
    await alerts.raise({ key: 'latest', severity: 'info', message: 'A remark' });
    const shown = [...(await page()).matchAll(/A grave one|A later one|A remark/g)].map(([text]) => text);
    expect(shown).toEqual(['A grave one', 'A later one', 'A remark']);
    // Where the owner looks first they did not stand.
    const dashboard = await shop.http.get('/admin').set('Cookie', cookie).expect(200);
    expect(dashboard.text).toMatch(/A grave one[^]*A later one[^]*href="\/admin\/sending"/);
    for (const key of ['grave', 'later', 'latest']) await alerts.resolve(key);
  });

  it('leads to broadcasts that stand still, which it did not name', async () => {
    await shop.db.query(
      `insert into broadcast (title, state, state_reason, sender, email_template_id, created_at)
       values ('Spring <news>', 'paused', '20 of 136 addresses do not exist', '{}', (select max(id) from email_template), now())`,
    );
    const html = await page();
    expect(html).toMatch(/<a href="\/admin\/broadcasts\/\d+">Spring &lt;news&gt;<\/a>/);
    expect(html).toContain('20 of 136 addresses do not exist');
    await empty(shop.db, 'broadcast');
    expect(await page()).not.toContain('Paused broadcasts');
  });

  it('releases and cancels what is held', async () => {
    await empty(shop.db, 'message');
    for (const reason of ['a', 'b']) await insertMessage(shop.db, { state: 'held', state_reason: reason });
    await post('held', { reason: 'a', decision: 'release' }).expect(303);
    await post('held', { reason: 'b', decision: 'cancel' }).expect(303);
    await post('held', { reason: 'b', decision: 'keep' }).expect(422);
    expect(await states()).toEqual([
      { state: 'cancelled', n: 1 },
      { state: 'ready', n: 1 },
    ]);
  });

  it('shows what nobody knows to have been taken of a sequence, and sends it once more; the API does it, too', async () => {
    await empty(shop.db, 'message');
    const rows: { subscriberId: string; enrollmentId: string }[] = await shop.db.query(
      `with f as (insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
         values ('shop', 'Shop', '{}', '', 1, now(), now())),
       s as (insert into subscriber (email, email_key, status, created_at, updated_at)
         select n || '@example.org', n || '@example.org', 'active', now(), now() from generate_series(1, 3) n returning id)
       insert into enrollment (sequence_id, version_id, subscriber_id, status, started_at)
         select v.sequence_id, v.id, s.id, 'active', now() from sequence_version v, s
       returning subscriber_id as "subscriberId", id as "enrollmentId"`,
    );
    const ids: string[] = [];
    for (const { subscriberId, enrollmentId } of rows)
      ids.push(
        await insertMessage(shop.db, {
          ...{ state: 'unknown', kind: 'sequence', funnel_key: 'shop', step_key: 'hello', unknown_count: 1 },
          ...{ subscriber_id: subscriberId, enrollment_id: enrollmentId },
        }),
      );
    await shop.db.query(`update enrollment set status = 'exited' where subscriber_id = $1`, [
      rows[2]?.subscriberId,
    ]);
    expect(await page()).toMatch(/Send them once more/);
    const api = (path: string) =>
      shop.http.post(`/api/v1/sending/sequences/${path}`).set('Authorization', `Bearer ${API_KEY}`);
    await api('shop/pause').expect(200);
    expect((await api('shop/unknown/resend').expect(409)).body).toMatchObject({
      code: 'SEQUENCE_STATE_CONFLICT',
    });
    expect((await post('unknown', { funnel: 'shop' }).expect(422)).text).toContain(
      'Nothing was sent: its mails are paused',
    );
    await api('shop/resume').expect(200);
    await post('unknown', { funnel: 'shop' }).expect(303);
    expect(await states()).toEqual([
      { state: 'ready', n: 2 },
      { state: 'unknown', n: 1 },
    ]);
    expect(await page()).not.toContain('once more</button>');
    expect((await api('shop/unknown/resend').expect(200)).body).toEqual({ resent: 0 });
    await api('nothing/unknown/resend').expect(404);
    const { body } = await shop.http
      .get(`/api/v1/messages/${ids[0]}/explain`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect((body as { chain: { code: string }[] }).chain.map(({ code }) => code)).toContain(
      'RESENT_BY_OWNER',
    );
    await empty(shop.db, 'message, enrollment, subscriber');
    await shop.db.query(`delete from funnel where key = 'shop'`);
    for (const state of ['cancelled', 'ready']) await insertMessage(shop.db, { state });
  });

  it('asks what to do after a restored backup, and does it', async () => {
    await shop.db.query(`insert into setting (key, value, updated_at) values ('ledger.generation', $1, $2)`, [
      JSON.stringify({
        lineage: 'a',
        generation: 1,
        counter: 1,
        fingerprint: { system: null, timeline: null, database: '1', table: '1' },
        refused: null,
        confirmed: null,
      }),
      OPENED_AT,
    ]);
    expect(await page()).toContain('Is this the database to send from?');
    await post('confirm', {}).expect(422);
    await post('confirm', { unsent: 'hold' }).expect(303);
    expect(await page()).toContain('mails may go out');
    expect(await states()).toEqual([
      { state: 'cancelled', n: 1 },
      { state: 'held', n: 1 },
    ]);
  });
});
