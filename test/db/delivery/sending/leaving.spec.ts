import { acceptProven } from '../../../../src/delivery/ledger/message-evidence.queries.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { Wake } from '../../../../src/infra/jobs/wake.js';
import { LeaveService } from '../../../../src/subscribers/leave.service.js';
import { SubscribersService } from '../../../../src/subscribers/subscribers.service.js';
import { SuppressionsService } from '../../../../src/subscribers/suppressions.service.js';
import { encodeIds, signToken } from '../../../../src/values/signed-token.js';
import { openPostOffice, SECRET, type PostOffice } from '../post-office.js';

let office: PostOffice;
let leave: LeaveService;
beforeAll(async () => {
  office = await openPostOffice();
  const { db, clock, app } = office;
  const config = app.get<Config>(CONFIG, { strict: false });
  const suppressions = new SuppressionsService(db, config, clock);
  const subscribers = new SubscribersService(db, suppressions, clock);
  const wake = app.get(Wake, { strict: false });
  leave = new LeaveService(db, subscribers, suppressions, wake, config, clock);
});
afterAll(async () => office.close());

const tokenOf = (subscriberId: string, messageId: string): string =>
  signToken(SECRET, 'unsubscribe', encodeIds([subscriberId, messageId]));

it('stops a mail that is under way already: left after the claim, not one byte of the body goes out', async () => {
  const subscriberId = await office.subscriber('hasty@example.com');
  const id = await office.plan('hasty@example.com', { subscriberId });
  office.sink.onRecipient = async () => {
    expect(await office.state(id)).toMatchObject({ state: 'leased' });
    await leave.leaveByToken(tokenOf(subscriberId, id), 'mailto');
    return undefined;
  };
  await office.sendDue();
  expect(await office.state(id)).toMatchObject({ state: 'suppressed', acceptedAt: null });
  expect([office.sink.bodiesBegun, office.sink.mails.length]).toEqual([0, 0]);
});

it('shows that a mail of unclear end has arrived when its reader leaves by it', async () => {
  const subscriberId = await office.subscriber('unclear@example.com');
  const id = await office.plan('unclear@example.com', { subscriberId });
  await office.db.query(`update message set state = 'unknown', unknown_count = 1 where id = $1`, [id]);
  await leave.leaveByToken(tokenOf(subscriberId, id), 'one_click');
  expect(await acceptProven(office.db.manager)).toBe(1);
  expect(await office.state(id)).toMatchObject({
    state: 'accepted',
    reason: 'its reader left by it',
    acceptedAt: expect.any(Date),
  });
});

it('does not send a mail once more that has been opened while it waited for that', async () => {
  const subscriberId = await office.subscriber('opens@example.com');
  const id = await office.plan('opens@example.com', { subscriberId });
  await office.db.query(`update message set unknown_count = 1 where id = $1`, [id]);
  await office.db.query(
    `insert into tracking_event (kind, message_id, class, reason, rule_version, at) values ('open', $1, 'human', 'as the test says', 1, $2)`,
    [id, office.clock.now()],
  );
  expect(await office.sendDue()).toBe(0);
  expect(await office.state(id)).toMatchObject({
    state: 'accepted',
    reason: 'it was opened',
    acceptedAt: office.clock.now(),
  });
});

it('leaves by a link alone, whoever sends it, and not by one we did not write', async () => {
  const subscriberId = await office.subscriber('by-mail@example.com');
  const [real, forged] = [tokenOf(subscriberId, '0'), tokenOf(subscriberId, '0').replace(/.$/, '_')];
  expect(await leave.leaveByToken(forged, 'mailto')).toEqual({ kind: 'not_ours' });
  expect(await leave.leaveByToken(real, 'mailto')).toEqual({ kind: 'left', subscriberId });
  expect(await leave.leaveByToken(real, 'mailto')).toEqual({ kind: 'left', subscriberId });
  expect(
    await office.db.query(
      `select s.status, x.source from subscriber s, suppression x where s.id = $1 and x.email_hash =
      (select email_hash from suppression order by id desc limit 1)`,
      [subscriberId],
    ),
  ).toEqual([{ status: 'unsubscribed', source: 'mailto' }]);
});

it('stops a mail of a topic nobody wants any more in the same moment, and no other topic’s', async () => {
  const subscriberId = await office.subscriber('choosy@example.com');
  const id = await office.plan('choosy@example.com', { subscriberId });
  const other = await office.plan('choosy@example.com', {
    subscriberId,
    funnelKey: 'another',
    dedupeKey: 'test:another-topic',
  });
  const before = office.sink.mails.length;
  office.sink.onRecipient = async () => {
    await office.db.query(
      `insert into topic_opt_out (subscriber_id, topic_key, created_at) values ($1, 'niche-ebook', now()) on conflict do nothing`,
      [subscriberId],
    );
    return undefined;
  };
  await office.sendDue();
  expect(await office.state(id)).toMatchObject({ state: 'suppressed', reason: 'opted out of the topic' });
  expect(await office.state(other)).toMatchObject({ state: 'accepted' });
  expect(office.sink.mails.length - before).toBe(1);
});
