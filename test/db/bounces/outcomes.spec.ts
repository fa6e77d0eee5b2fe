import { REPORTER, signedByExampleOrg } from '../../support/signed-reports.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastGuard } from '../../../src/delivery/guards/broadcast-guard.service.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { SequencePauses } from '../../../src/delivery/waiting/sequence-pauses.service.js';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { SECRET } from '../delivery/post-office.js';
import { acceptedMails, broadcastState } from './broadcast-mails.js';
import {
  BOUNCE_DOMAIN,
  DEAD,
  FULL,
  NO_HOST,
  openBounceOffice,
  UNSIGNED,
  type BounceOffice,
} from './bounce-office.js';

const DAY_MS = 86_400_000;

describe('what comes back', () => {
  let office: BounceOffice;

  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());

  it('a dead address is given up at once, and nothing more is sent to it', async () => {
    const id = await office.sent('dead@example.org');
    expect(await office.comesBack(id, DEAD)).toBe('counted');
    expect(await office.status('dead@example.org')).toBe('bounced');
    expect(await office.suppressed('dead@example.org')).toEqual(['all hard_bounce']);
    const rows: { id: string }[] = await office.db.query('select id from subscriber where email = $1', [
      'dead@example.org',
    ]);
    const next = await office.plan('dead@example.org', {
      dedupeKey: 'next',
      subscriberId: rows[0]?.id ?? '',
    });
    await office.sendDue();
    expect(await office.state(next)).toMatchObject({ state: 'suppressed' });
    expect(office.sink.mails).toHaveLength(0);
  });

  it('the same report counts once a day, however often it comes', async () => {
    const id = await office.sent('twice@example.org');
    expect(await office.comesBack(id, FULL)).toBe('counted');
    const again = await Promise.all(Array.from({ length: 10 }, async () => office.comesBack(id, FULL)));
    expect(new Set(again)).toEqual(new Set(['repeated']));
    expect(await office.bounces.list({ messageId: id, limit: 10 })).toHaveLength(1);
  });

  it('reports that arrive at the same moment count once', async () => {
    const id = await office.sent('together@example.org');
    const taken = await Promise.all(Array.from({ length: 10 }, async () => office.comesBack(id, DEAD)));
    expect(taken.filter((one) => one === 'counted')).toHaveLength(1);
  });

  it('a full mailbox is given up after five mails in a row', async () => {
    for (let count = 1; count <= 5; count++) {
      expect(await office.status('full@example.org')).toBe(count === 1 ? 'nobody' : 'active');
      const id = await office.sent('full@example.org');
      office.clock.advance(DAY_MS);
      await office.comesBack(id, FULL);
    }
    expect(await office.status('full@example.org')).toBe('bounced');
  });

  it('a mail that arrives in between starts the count anew', async () => {
    for (let count = 1; count <= 4; count++) {
      const id = await office.sent('slow@example.org');
      office.clock.advance(DAY_MS);
      await office.comesBack(id, FULL);
    }
    await office.sent('slow@example.org');
    office.clock.advance(DAY_MS);
    await office.comesBack(await office.sent('slow@example.org'), FULL);
    expect(await office.status('slow@example.org')).toBe('active');
  });

  it('full mailboxes of more than a month ago are forgotten', async () => {
    for (let count = 1; count <= 4; count++)
      await office.comesBack(await office.sent('rare@example.org'), FULL);
    office.clock.advance(31 * DAY_MS);
    await office.comesBack(await office.sent('rare@example.org'), FULL);
    expect(await office.status('rare@example.org')).toBe('active');
  });

  it('an unknown domain is given up only when it is still unknown three days later', async () => {
    await office.comesBack(await office.sent('nohost@example.org'), NO_HOST);
    office.clock.advance(2 * DAY_MS);
    await office.comesBack(await office.sent('nohost@example.org'), NO_HOST);
    expect(await office.status('nohost@example.org')).toBe('active');
    office.clock.advance(1.5 * DAY_MS);
    await office.comesBack(await office.sent('nohost@example.org'), NO_HOST);
    expect(await office.status('nohost@example.org')).toBe('bounced');
  });

  it('a domain that was unknown for an hour twice, with mails that arrived in between, is not given up', async () => {
    await office.comesBack(await office.sent('glitch@example.org'), NO_HOST);
    for (let day = 1; day <= 20; day++) {
      office.clock.advance(DAY_MS);
      await office.sent('glitch@example.org');
    }
    office.clock.advance(DAY_MS);
    await office.comesBack(await office.sent('glitch@example.org'), NO_HOST);
    expect(await office.status('glitch@example.org')).toBe('active');
  });

  it('a full mailbox is given up also when each report takes longer than the mails are apart', async () => {
    const sent: string[] = [];
    for (let day = 1; day <= 9; day++) {
      expect(await office.status('patient@example.org')).toBe(day === 1 ? 'nobody' : 'active');
      sent.push(await office.sent('patient@example.org'));
      const told = sent[day - 6];
      if (told) await office.comesBack(told, FULL);
      office.clock.advance(DAY_MS);
    }
    await office.comesBack(sent[4] ?? '', FULL);
    expect(await office.status('patient@example.org')).toBe('bounced');
  });

  it('what is about the sender pauses the broadcast, tells the owner and leaves the person alone', async () => {
    const broadcastId = await office.broadcast();
    const id = await office.sent('fine@example.org');
    await office.db.query('update message set broadcast_id = $2 where id = $1', [id, broadcastId]);
    await office.comesBack(id, UNSIGNED);
    expect(await office.status('fine@example.org')).toBe('active');
    expect(await office.suppressed('fine@example.org')).toEqual([]);
    expect(await broadcastState(office, broadcastId)).toBe('paused');
    expect(await office.alertKeys()).toEqual(
      expect.arrayContaining(['bounces:sender:example.com:auth_failure', `bounces:broadcast:${broadcastId}`]),
    );
  });

  it('a complaint ends all mail to the address, receipts too', async () => {
    const id = await office.sent('angry@example.org');
    expect(await office.complains(id)).toBe('counted');
    expect(await office.status('angry@example.org')).toBe('complained');
    expect(await office.suppressed('angry@example.org')).toEqual(['all complaint']);
  });

  it('a complaint without our headers is told by the envelope sender it names', async () => {
    const id = await office.sent('redacted@example.org');
    const complaint = (mailFrom: string) =>
      signedByExampleOrg(
        `From: ${REPORTER}\nTo: fbl@${BOUNCE_DOMAIN}\nSubject: FW: Hello\nContent-Type: multipart/report; report-type=feedback-report; boundary="=b"\n\n--=b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: Example/1\nVersion: 1\nOriginal-Mail-From: <${mailFrom}>\n\n--=b--\n`,
        office.clock.now(),
      );
    const take = async (mailFrom: string) =>
      office.intake.receive({ raw: await complaint(mailFrom), envelopeTo: [], source: 'imap' });
    expect(await take(verpAddress(Buffer.alloc(32, 9), id, BOUNCE_DOMAIN))).toBe('untrusted');
    expect(await take('ada@example.com')).not.toBe('counted');
    expect(await office.status('redacted@example.org')).toBe('active');
    expect(await take(verpAddress(SECRET, id, BOUNCE_DOMAIN))).toBe('counted');
    expect(await office.status('redacted@example.org')).toBe('complained');
  });

  it('"not spam" and a failed authentication change nothing about the person', async () => {
    const id = await office.sent('calm@example.org');
    await office.complains(id, 'not-spam');
    await office.complains(id, 'auth-failure');
    expect(await office.status('calm@example.org')).toBe('active');
    expect(await office.suppressed('calm@example.org')).toEqual([]);
  });

  it.each(['delayed', 'relayed', 'delivered', 'expanded'])('"%s" is no failure', async (action) => {
    const id = await office.sent(`${action}@example.org`);
    await office.comesBack(id, { ...DEAD, action });
    expect(await office.status(`${action}@example.org`)).toBe('active');
  });

  it('a mail that no rule can read is shown to the owner, once a day, and does nothing', async () => {
    const id = await office.sent('riddle@example.org');
    const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
    const raw = Buffer.from('From: Bob <bob@example.org>\nSubject: Hello\n\nThanks for the letter!\n');
    for (let time = 0; time < 3; time++)
      expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp' })).toBe('nothing');
    const kept = await office.bounces.list({ messageId: id, limit: 10 });
    expect(kept.map(({ verdict, reason }) => [verdict, reason])).toEqual([['ignore', 'not_a_report']]);
    expect(await office.status('riddle@example.org')).toBe('active');
  });

  it('a bounce proves that a mail of unclear end was taken', async () => {
    const id = await office.sent('unclear@example.org');
    await office.db.query(`update message set state = 'unknown', accepted_at = null where id = $1`, [id]);
    await office.comesBack(id, FULL);
    expect(await office.state(id)).toMatchObject({ state: 'accepted', reason: 'proved by a report' });
  });

  it('an erased person stays erased, and their address stays suppressed', async () => {
    const id = await office.sent('gone@example.org');
    await office.messages.forget(
      office.db.manager,
      (
        (await office.db.query('select id from subscriber where email = $1', ['gone@example.org'])) as {
          id: string;
        }[]
      )[0]?.id ?? '',
    );
    await office.db.query('delete from subscriber where email = $1', ['gone@example.org']);
    await office.comesBack(id, { status: '5.1.1', diagnostic: '550 5.1.1 Gone, Bob has left the company' });
    expect(await office.status('gone@example.org')).toBe('nobody');
    expect(await office.suppressed('gone@example.org')).toEqual(['all hard_bounce']);
    const [kept] = await office.bounces.list({ messageId: id, limit: 1 });
    expect(kept).toMatchObject({ verdict: 'hard', diagnostic: null });
  });

  it('a broadcast is paused when three of a thousand complain', async () => {
    const broadcastId = await office.broadcast();
    const ids = await acceptedMails(office, broadcastId, 1_000);
    for (const id of ids.slice(0, 2)) await office.complains(id);
    expect(await broadcastState(office, broadcastId)).toBe('running');
    expect(await office.alertKeys()).toContain(`bounces:broadcast:${broadcastId}`);
    await office.complains(ids[2] ?? '');
    expect(await broadcastState(office, broadcastId)).toBe('paused');
  });

  it('a big broadcast is not paused by complaints that are few among all its mails', async () => {
    const broadcastId = await office.broadcast();
    const ids = await acceptedMails(office, broadcastId, 2_000);
    const guard = office.app.get(BroadcastGuard, { strict: false });
    for (const id of ids.slice(0, 4)) await office.complains(id);
    // Of a thousand, four would be too many.
    expect(await guard.check(office.db.manager, broadcastId, { sample: 1_000 })).toBe(false);
    expect(await broadcastState(office, broadcastId)).toBe('running');
    for (const id of ids.slice(4, 7)) await office.complains(id);
    expect(await broadcastState(office, broadcastId)).toBe('paused');
  });

  it('a broadcast that the owner lets go on is not paused again by what was known, only by what is new', async () => {
    const broadcasts = office.app.get(BroadcastsService, { strict: false });
    const watch = office.app.get(RatesWatch, { strict: false });
    const broadcastId = await office.broadcast();
    await office.db.query('update broadcast set started_at = $2, planned_at = $2 where id = $1', [
      broadcastId,
      office.clock.now(),
    ]);
    const ids = await acceptedMails(office, broadcastId, 500);
    for (const id of ids.slice(0, 3)) await office.complains(id);
    expect(await broadcastState(office, broadcastId)).toBe('paused');
    await broadcasts.resume(broadcastId);
    await watch.look();
    await office.complains(ids[3] ?? '');
    expect(await broadcastState(office, broadcastId)).toBe('running');
    const later = await acceptedMails(office, broadcastId, 200, { after: 500 });
    await office.db.query(`update message set settled_at = clock_timestamp() where id = any($1::bigint[])`, [
      later,
    ]);
    for (const id of later.slice(0, 2)) await office.complains(id);
    expect(await broadcastState(office, broadcastId)).toBe('paused');
  });

  it('the owner hears of complaints at one provider', async () => {
    await office.app.get(RatesWatch, { strict: false }).look();
    expect(await office.alertKeys()).toContain('complaints:provider:gmail');
  });

  it('an alert about complaints or refusals ends a week after the last of them: it stayed open for ever', async () => {
    const about = (key: string): boolean => /^(?:complaints:provider|bounces:sender):/.test(key);
    const id = await office.sent('unsigned@example.org');
    await office.comesBack(id, UNSIGNED);
    expect((await office.alertKeys()).filter(about)).toEqual(
      expect.arrayContaining(['complaints:provider:gmail', 'bounces:sender:example.com:auth_failure']),
    );
    // Whatever its facts say, it stays while a mail is held, and ends with it, whoever cancels that.
    const held = await office.sent('held@example.org');
    await office.db.query(
      `update message set state = 'held', state_reason = 'refused because of the sender: auth failure' where id = $1`,
      [held],
    );
    office.clock.advance(8 * DAY_MS);
    await office.app.get(RatesWatch, { strict: false }).look();
    expect((await office.alertKeys()).filter(about)).toEqual(['bounces:sender:example.com:auth_failure']);
    await office.db.query(`update message set state = 'cancelled' where id = $1`, [held]);
    await office.app.get(RatesWatch, { strict: false }).look();
    expect((await office.alertKeys()).filter(about)).toEqual([]);
  });

  it('a sequence of which mails come back is paused, and its mails wait until the owner lets it go on', async () => {
    const pauses = office.app.get(SequencePauses, { strict: false });
    const watch = office.app.get(RatesWatch, { strict: false });
    const bad = { funnelKey: 'bad' };
    const ids: string[] = [];
    for (let n = 0; n < 4; n++) ids.push(await office.sent(`unsigned-${n}@example.org`, bad));
    for (const id of ids.slice(0, 2)) await office.comesBack(id, UNSIGNED);
    await watch.look();
    expect(await pauses.all()).toEqual([]);
    await office.comesBack(ids[2] ?? '', UNSIGNED);
    await watch.look();
    await watch.look();
    const reason = '3 of 4 mails were refused because of the sender';
    expect(await pauses.all()).toMatchObject([{ funnelKey: 'bad', reason }]);
    expect(await office.alertKeys()).toContain('bounces:sequence:bad');
    expect(await office.status('unsigned-0@example.org')).toBe('active');
    const waits = await office.plan('waits@example.org', bad);
    const receipt = await office.plan('buys@example.org', {
      ...bad,
      class: 'transactional',
      kind: 'receipt',
    });
    await office.sendDue();
    expect(await office.state(waits)).toMatchObject({ state: 'held', reason: 'sequence paused' });
    expect(await office.state(receipt)).toMatchObject({ state: 'accepted' });
    expect(await pauses.resume('bad')).toBe(1);
    await watch.look();
    expect(await pauses.all()).toEqual([]);
    expect(await office.alertKeys()).not.toContain('bounces:sequence:bad');
    await office.sendDue();
    expect(await office.state(waits)).toMatchObject({ state: 'accepted' });
    // Paused while its envelope is at the relay: the barrier holds it.
    const late = await office.plan('late@example.org', bad);
    office.sink.onRecipient = async () => void (await pauses.pause('bad', 'paused by the owner'));
    await office.sendDue();
    office.sink.onRecipient = async () => undefined;
    expect(await office.state(late)).toMatchObject({ state: 'held', reason: 'sequence paused' });
    await pauses.resume('bad');
    // What comes back now of mails that left before says nothing about those that leave now.
    office.clock.advance(60_000);
    for (const id of ids) await office.comesBack(id, { ...UNSIGNED, mta: 'mx2.example.net' });
    await watch.look();
    expect(await pauses.all()).toEqual([]);
  });

  it('one server with a policy of its own pauses no sequence, however many of its readers are there; two domains do', async () => {
    const pauses = office.app.get(SequencePauses, { strict: false });
    const watch = office.app.get(RatesWatch, { strict: false });
    const refusal = { ...UNSIGNED, status: '5.7.1', diagnostic: '550 5.7.1 rejected for policy reasons' };
    for (let n = 0; n < 4; n++)
      await office.comesBack(await office.sent(`ruled-${n}@example.org`, { funnelKey: 'ruled' }), refusal);
    await watch.look();
    expect(await pauses.all()).toEqual([]);
    await office.comesBack(await office.sent('ruled@example.net', { funnelKey: 'ruled' }), refusal);
    await watch.look();
    const reason = '5 of 5 mails were refused because of the sender';
    expect(await pauses.all()).toMatchObject([{ funnelKey: 'ruled', reason }]);
    await pauses.resume('ruled');
  });

  it('a rotten list is stopped by its first dead addresses', async () => {
    const broadcastId = await office.broadcast();
    const ids = await acceptedMails(office, broadcastId, 30);
    const guard = office.app.get(BroadcastGuard, { strict: false });
    for (const id of ids.slice(0, 20)) {
      await office.db.query(
        `update message set state = 'rejected', state_reason = 'user_unknown', reply_code = 550 where id = $1`,
        [id],
      );
      await guard.refused(broadcastId);
    }
    expect(await broadcastState(office, broadcastId)).toBe('paused');
  });

  it.each([
    ['other', [], 'unsubscribed'],
    ['fraud', ['bounces:sender:example.com:fraud'], 'unsubscribed'],
    ['x-something-new', [], 'active'],
  ])(
    'a reader whose provider reports "%s" gets receipts still, and marketing only where nobody knows what it means',
    async (type, alerts, status) => {
      const email = `${type}@example.org`;
      const id = await office.sent(email);
      const before = await office.alertKeys();
      expect(await office.complains(id, type)).toBe('counted');
      expect(await office.status(email)).toBe(status);
      expect(await office.suppressed(email)).toEqual(status === 'active' ? [] : ['marketing unsubscribed']);
      expect((await office.alertKeys()).filter((key) => !before.includes(key))).toEqual(alerts);
    },
  );
});
