import { PromptSmtpServer } from '../../../src/infra/mailbox/prompt-smtp-server.js';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastGuard } from '../../../src/delivery/guards/broadcast-guard.service.js';
import { HeldService } from '../../../src/delivery/waiting/held.service.js';
import { BroadcastUpkeep } from '../../../src/broadcasts/broadcast-upkeep.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { JobRegistry } from '../../../src/infra/jobs/job-registry.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';

/** A relay that knows nobody but whom the test says. */
async function openRelay(
  refusal: (address: string) => string | null,
): Promise<{ url: string; asked: string[]; close(): Promise<void> }> {
  const asked: string[] = [];
  const server = new PromptSmtpServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 200,
    onRcptTo: ({ address }, _session, done) => {
      asked.push(address);
      const said = refusal(address);
      done(said === null ? null : Object.assign(new Error(said), { responseCode: 550 }));
    },
    onData: (stream, _session, done) => {
      stream.resume();
      stream.once('end', () => done(null, 'taken'));
    },
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    asked,
    close: async () => new Promise<void>((resolve) => server.close(resolve)),
  };
}

describe('refusals while sending', () => {
  let relay: Awaited<ReturnType<typeof openRelay>>;
  let office: BounceOffice;

  beforeAll(async () => {
    relay = await openRelay((address) => {
      if (address.startsWith('dead')) return '5.1.1 no such user';
      if (address.startsWith('busy'))
        return '5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.';
      if (address.startsWith('listed')) return '5.7.1 client [192.0.2.1] blocked using list.example.net';
      return address.startsWith('policy') ? '5.7.1 rejected for policy reasons' : null;
    });
    office = await openBounceOffice({ SMTP_URL: relay.url });
  });
  afterAll(async () => {
    await office.close();
    await relay.close();
  });

  it('count like a bounce: a dead address is given up, a policy is not held against the person', async () => {
    await office.plan('dead@example.org');
    await office.plan('policy@example.org');
    await office.plan('alive@example.org');
    await office.sendDue();
    await countRefusals();
    await countRefusals();
    expect(await office.suppressed('dead@example.org')).toEqual(['all hard_bounce']);
    expect([await office.status('dead@example.org'), await office.status('policy@example.org')]).toEqual([
      'bounced',
      'active',
    ]);
    const kept = await office.bounces.list({ limit: 10 });
    expect(kept.map(({ verdict, reason, trusted }) => [verdict, reason, trusted])).toEqual([
      ['sender', 'policy', true],
      ['hard', 'user_unknown', true],
    ]);
    expect(await office.alertKeys()).toEqual(['bounces:sender:example.com:policy']);
  });

  it('a mail that was refused because of the sender is not tried again until the owner sends it, and tells each time', async () => {
    const held = office.app.get(HeldService, { strict: false });
    const refused = { reason: 'refused because of the sender: policy' };
    const alerts = office.app.get(AlertsService, { strict: false });
    const tried = (): number => relay.asked.filter((address) => address === 'policy@example.org').length;
    expect(await held.counts()).toMatchObject({ held: [{ ...refused, count: 1 }] });
    office.clock.advance(30 * 3_600_000);
    await office.sendDue();
    expect(tried()).toBe(1);
    expect(await held.release(refused)).toBe(1);
    expect(await office.alertKeys()).toEqual([]);
    await office.sendDue();
    await countRefusals();
    expect(tried()).toBe(2);
    // Of another mail, which the relay had taken: those that are held still wait for the owner.
    const before = (await alerts.open()).map(({ message }) => message);
    expect(before).toEqual([expect.stringContaining('They are held')]);
    const policy = { status: '5.7.1', diagnostic: '550 5.7.1 rejected for policy reasons' };
    await office.comesBack(await office.sent('later@example.org'), policy);
    expect((await alerts.open()).map(({ message }) => message)).toEqual(before);
    expect(await office.alertKeys()).toEqual(['bounces:sender:example.com:policy']);
    expect(await held.cancel(refused)).toBe(1);
    expect(await office.alertKeys()).toEqual([]);
  });

  /** A broadcast to these, sent as far as it goes: its state, and its first mail. */
  const sendBroadcast = async (...to: string[]): Promise<{ broadcast: unknown; first: unknown }> => {
    // So long that what was refused before makes no storm with it, which would slow the lane down.
    office.clock.advance(120_000);
    const id = await office.broadcast();
    const mails: string[] = [];
    for (const address of to) mails.push(await office.plan(address));
    await office.db.query('update message set broadcast_id = $1 where id = any($2::bigint[])', [id, mails]);
    await office.sendDue();
    await countRefusals();
    const [broadcast]: unknown[] = await office.db.query(
      'select state, state_reason as reason from broadcast where id = $1',
      [id],
    );
    return { broadcast, first: await office.state(mails[0] ?? '') };
  };

  it('a broadcast is paused by the first mail that is refused for our address, which is held', async () => {
    const { broadcast, first } = await sendBroadcast('listed@example.org', 'reader@example.org');
    expect(broadcast).toEqual({
      state: 'paused',
      reason: expect.stringMatching(/^1 of \d mails were refused because of the sender$/),
    });
    expect(await office.status('listed@example.org')).toBe('active');
    expect(first).toMatchObject({ state: 'held', code: 550 });
  });

  it('one busy mailbox pauses no broadcast, holds no mail and blames nobody', async () => {
    const { broadcast, first } = await sendBroadcast('busy@example.org', 'reader-2@example.org');
    expect(broadcast).toEqual({ state: 'running', reason: null });
    expect(first).toMatchObject({ state: 'rejected', code: 550, reason: 'mailbox_busy' });
    const kept = await office.bounces.list({ limit: 1 });
    expect(kept.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(['soft mailbox_busy']);
    expect(await office.suppressed('busy@example.org')).toEqual([]);
  });

  it('one server with a policy of its own holds its mail and pauses no broadcast; two domains do', async () => {
    const one = await sendBroadcast('policy-2@example.org', 'reader-3@example.org');
    expect(one.first).toMatchObject({ state: 'held', reason: 'refused because of the sender: policy' });
    expect(one.broadcast).toEqual({ state: 'running', reason: null });
    const two = await sendBroadcast('policy-3@example.org', 'policy-3@example.net', 'reader-4@example.org');
    expect(two.broadcast).toEqual({
      state: 'paused',
      reason: expect.stringMatching(/^2 of \d mails were refused because of the sender$/),
    });
  });

  it('a mail that was put off and whose worker died afterwards is no refusal', async () => {
    const said = '450 4.1.1 <put-off@example.org>: User unknown in local recipient table';
    const dead = await office.plan('put-off@example.org');
    const expired = await office.plan('too-late@example.org');
    await office.db.query(
      `update message set state = 'leased', reply_code = 450, reply_text = $2, lease_until = clock_timestamp() - interval '1 second',
         data_at = clock_timestamp() - interval '10 minutes' where id = $1`,
      [dead, said],
    );
    await office.db.query(
      `update message set state = 'unknown', reply_code = 450, reply_text = $2, settled_at = clock_timestamp() where id = $1`,
      [expired, said],
    );
    expect(await office.ledger.reap({ now: office.clock.now() })).toMatchObject({ unknown: 1 });
    expect(await office.state(dead)).toMatchObject({ state: 'unknown', code: null });
    await countRefusals();
    expect([
      await office.suppressed('put-off@example.org'),
      await office.suppressed('too-late@example.org'),
      await office.bounces.list({ messageId: dead, limit: 1 }),
      await office.bounces.list({ messageId: expired, limit: 1 }),
    ]).toEqual([[], [], [], []]);
  });

  it('a broadcast to 10,000 dead addresses is paused before 200 were tried, and says why', async () => {
    const id = await office.broadcast();
    await office.db.query(
      `with people as (
         insert into subscriber (email, email_key, status, created_at, updated_at)
         select 'dead' || n || '@example.org', 'dead' || n || '@example.org', 'active', $2, $2 from generate_series(1, 10000) n
         returning id, email)
       insert into message (dedupe_key, class, kind, subscriber_id, funnel_key, email_template_id, data, sender, address, address_hash,
         message_id_header, due_at, created_at, lane_key, broadcast_id)
       select 'c:' || p.id, 'marketing', 'broadcast', p.id, 'niche-ebook', m.email_template_id, m.data, m.sender, p.email,
         decode(md5(p.email), 'hex'), '<' || p.id || '@example.com>', $2, $2, m.lane_key, $1
       from people p, (select * from message order by id limit 1) m`,
      [id, office.clock.now()],
    );
    relay.asked.length = 0;
    await office.sendDue();
    expect(relay.asked.length).toBeGreaterThanOrEqual(20);
    expect(relay.asked.length).toBeLessThan(200);
    const rows: unknown[] = await office.db.query('select state, state_reason from broadcast where id = $1', [
      id,
    ]);
    expect(rows).toEqual([
      { state: 'paused', state_reason: expect.stringMatching(/^\d+ of \d+ addresses do not exist$/) },
    ]);
    expect(await office.alertKeys()).toContain(`bounces:broadcast:${id}`);
  });

  it('the alert about a paused broadcast still says so when reports of what was under way come after the pause, and ends with the owner’s word', async () => {
    const [{ id = '' } = {}]: { id?: string }[] = await office.db.query(
      'select max(id) as id from broadcast',
    );
    const alert = async () =>
      (await office.app.get(AlertsService, { strict: false }).open()).filter(
        ({ key }) => key === `bounces:broadcast:${id}`,
      );
    await office.app.get(BroadcastGuard, { strict: false }).checkAll(id);
    expect(await alert()).toMatchObject([
      {
        message: expect.stringMatching(/^The broadcast ".+" is paused: \d+ of \d+ addresses do not exist\. /),
      },
    ]);
    const broadcasts = office.app.get(BroadcastUpkeep, { strict: false });
    await broadcasts.closeAlerts();
    expect(await alert()).toHaveLength(1);
    await office.db.query(`update broadcast set state = 'cancelled', ended_at = $2 where id = $1`, [
      id,
      office.clock.now(),
    ]);
    await broadcasts.closeAlerts();
    await office.app.get(BroadcastGuard, { strict: false }).checkAll(id);
    expect(await alert()).toEqual([]);
  });

  async function countRefusals(): Promise<void> {
    const job = office.app.get(JobRegistry, { strict: false }).get('bounces.take-refusals');
    await job?.run({ deadline: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal });
  }
});
