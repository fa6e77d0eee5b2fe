import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import type { PlannedMessage } from '../../../../src/delivery/message/message.js';
import { MessagesQueries } from '../../../../src/delivery/ledger/messages.queries.js';
import { MessagesService } from '../../../../src/delivery/planning/messages.service.js';
import { groupsByMx } from '../../../../src/delivery/planning/planning.queries.js';
import { SendHours } from '../../../../src/delivery/waiting/send-hours.service.js';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { Wake } from '../../../../src/infra/jobs/wake.js';
import { OPENED_AT, insertMessage, openPacing, passSeconds, type PacingApp } from './pacing-app.js';
import { empty } from '../../../support/database.js';

const OTHER = 'example.com|other';
const BIG = `${OTHER}|big-host.example`;

describe('one receiver among all others that asks for less', () => {
  let t: PacingApp;
  let pacing: PacingService;
  beforeAll(async () => {
    t = await openPacing();
  });
  afterAll(async () => t.close());
  beforeEach(async () => {
    await empty(t.db, 'send_bucket, mail_domain, message');
    await t.db.query(
      `insert into mail_domain (domain, group_key, mx_host, checked_at) values
         ('a.example.net', 'other', 'mx1.big-host.example', now()), ('b.example.net', 'other', 'mx2.eu.big-host.example', now()),
         ('fine.example.org', 'other', 'mx.fine.example', now()), ('notbig-host.example', 'other', 'mx.notbig-host.example', now())`,
    );
    t.clock.advance(3_600_000);
    pacing = t.app.get(PacingService);
    await readAnew();
  });

  /** As after a second. */
  const readAnew = async (): Promise<void> => {
    pacing.forgetCache();
    await pacing.waitMs([{ queueKey: OTHER, priority: 5 }]);
  };
  const slowed = async (): Promise<string[]> =>
    (await pacing.buckets()).map(({ key }) => key.replace('lane:', ''));
  /** Two of its domains, after it and another receiver have taken mails. */
  const storm = async (): Promise<void> => {
    await pacing.sped(OTHER, 30, 'fine.example.org');
    await pacing.sped(OTHER, 10, 'a.example.net');
    for (const domain of ['a.example.net', 'b.example.net', 'a.example.net'])
      await pacing.slowDown(OTHER, 421, domain);
  };

  it('goes slower alone, with all the domains it hosts: it slowed down every company there is', async () => {
    const big = await insertMessage(t.db, { address: 'reader@B.example.net' });
    const fine = await insertMessage(t.db, { address: 'reader@fine.example.org' });
    const unlike = await insertMessage(t.db, { address: 'reader@notbig-host.example' });
    await storm();
    expect(await slowed()).toEqual([BIG]);
    const queues: { id: string; queue: string }[] = await t.db.query(
      'select id, lane_key as queue from message',
    );
    const queueOf = (id: string): unknown => queues.find((row) => row.id === id)?.queue;
    expect([queueOf(big), queueOf(fine), queueOf(unlike)]).toEqual([BIG, OTHER, OTHER]);
    const { granted } = await pacing.allow(
      [
        { queueKey: OTHER, priority: 5, due: 100 },
        { queueKey: BIG, priority: 5, due: 100 },
      ],
      1_000,
    );
    expect([granted.get(OTHER), granted.get(BIG)]).toEqual([100, undefined]);
  });

  it('starts from one mail a second where it has taken none yet, and recovers: it got one in five seconds for hours', async () => {
    await pacing.sped(OTHER, 60, 'fine.example.org');
    for (let n = 0; n < 3; n++) await pacing.slowDown(OTHER, 451, 'a.example.net');
    const pace = async (): Promise<number> => {
      const own = (await pacing.buckets()).find(({ key }) => key === `lane:${BIG}`);
      return (own?.ratePerSecond ?? 0) * (own?.slowFactor ?? 0);
    };
    expect(await pace()).toBeCloseTo(0.7);
    await readAnew();
    await passSeconds(t.db, 10);
    await pacing.sped(BIG, 1);
    expect(await pace()).toBeGreaterThan(0.85);
  });

  it('goes at its own pace with mails that were held back until then: they went at that of all others', async () => {
    const held = { state: 'held', state_reason: 'overdue after an outage', address: 'reader@b.example.net' };
    const ids = [await insertMessage(t.db, held)];
    await storm();
    await readAnew();
    const queues = async (): Promise<string[]> => {
      const rows: { queue: string }[] = await t.db.query(
        'select lane_key as queue from message where id = any($1) order by id',
        [ids],
      );
      return rows.map(({ queue }) => queue);
    };
    await t.app.get(HeldService).release({});
    t.clock.advance(60_000);
    await pacing.slowDown(OTHER, 421, 'b.example.net');
    expect(await queues()).toEqual([BIG]);
    // Looking at all that waits has its price: once a minute is enough.
    ids.push(await insertMessage(t.db, { address: 'late@b.example.net' }));
    await pacing.sped(OTHER, 1, 'b.example.net');
    expect(await queues()).toEqual([BIG, OTHER]);
    t.clock.advance(60_000);
    await pacing.sped(OTHER, 1, 'b.example.net');
    expect(await queues()).toEqual([BIG, BIG]);
  });

  it('left its mails among all others for thirty days when the clock was put back by as many', async () => {
    const now = t.clock.now();
    t.clock.advance(30 * 86_400_000);
    await storm();
    await readAnew();
    t.clock.set(now);
    await insertMessage(t.db, { address: 'late@b.example.net' });
    await pacing.sped(OTHER, 1, 'b.example.net');
    expect(await t.db.query('select lane_key as queue from message')).toEqual([{ queue: BIG }]);
  });

  it('takes what is planned from then on in its own queue', async () => {
    await storm();
    const groups = await groupsByMx(t.db.manager, [
      'a.example.net',
      'fine.example.org',
      'notbig-host.example',
    ]);
    expect(groups).toEqual(
      new Map([
        ['a.example.net', 'other|big-host.example'],
        ['fine.example.org', 'other'],
        ['notbig-host.example', 'other'],
      ]),
    );
  });

  it('takes receipts planned from then on in its own queue: they went past its pace for a minute', async () => {
    await storm();
    const messages = new MessagesService(
      t.db,
      new MessagesQueries(t.db),
      t.app.get(SendHours),
      t.app.get(Wake),
      t.app.get<Config>(CONFIG),
      t.clock,
    );
    const [template]: { id: string }[] = await t.db.query(
      `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
       values ('receipt', '', '', '', '', '', now()) returning id`,
    );
    const receipt = (address: string): PlannedMessage => ({
      dedupeKey: `receipt:${address}`,
      class: 'transactional',
      kind: 'receipt',
      subscriberId: null,
      funnelKey: 'niches',
      templateId: template?.id ?? '',
      data: {},
      sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' },
      address,
      addressHash: Buffer.from(address),
      dueAt: OPENED_AT,
    });
    const buyers = ['buyer@A.example.net', 'b@new.big-host.example', 'b@fine.example.org', 'b@gmail.com'];
    await t.db.transaction(async (manager) => messages.plan(manager, buyers.map(receipt)));
    expect(await t.db.query(`select address, lane_key as queue, priority from message order by id`)).toEqual([
      { address: 'buyer@A.example.net', queue: BIG, priority: 0 },
      // Not looked up yet: known by its own name.
      { address: 'b@new.big-host.example', queue: BIG, priority: 0 },
      { address: 'b@fine.example.org', queue: OTHER, priority: 0 },
      { address: 'b@gmail.com', queue: 'example.com|gmail', priority: 0 },
    ]);
  });

  it('is not told on once more by mails that were claimed before', async () => {
    await storm();
    const before = await pacing.buckets();
    await passSeconds(t.db, 10);
    t.clock.advance(10_000);
    for (let n = 0; n < 3; n++) await pacing.slowDown(OTHER, 421, 'b.example.net');
    expect(await slowed()).toEqual([BIG]);
    const after = await pacing.buckets();
    expect(after[0]?.ratePerSecond).toBeLessThan(before[0]?.ratePerSecond ?? 0);
  });

  it('is not blamed where all receivers answer so: it is the relay that asks for less', async () => {
    await pacing.sped(OTHER, 30, 'fine.example.org');
    const domains = [
      'a.example.net',
      'fine.example.org',
      'b.example.net',
      'fine.example.org',
      'a.example.net',
    ];
    for (const domain of domains) await pacing.slowDown(OTHER, 421, domain);
    for (let n = 0; n < 3; n++) await pacing.slowDown(OTHER, 421, 'fine.example.org');
    expect(await slowed()).toContain(OTHER);
  });

  it('slows down nobody else where it is one too many for a queue of its own, until all of them together are a storm', async () => {
    for (let n = 0; n < 40; n++) {
      await pacing.sped(OTHER, 100, 'fine.example.org');
      for (let refusal = 0; refusal < 3; refusal++) await pacing.slowDown(OTHER, 421, `host${n}.example`);
      await readAnew();
    }
    const keys = await slowed();
    expect([keys.length, keys.includes(OTHER)]).toEqual([32, false]);
    for (let refusal = 0; refusal < 250; refusal++)
      await pacing.slowDown(OTHER, 421, `host${32 + (refusal % 8)}.example`);
    expect((await slowed()).filter((key) => !keys.includes(key))).toEqual([OTHER]);
  });

  it('has a queue of its own only while there is room for one, also where many begin at once', async () => {
    await pacing.sped(OTHER, 10_000, 'fine.example.org');
    for (let refusal = 0; refusal < 2; refusal++)
      for (let n = 0; n < 40; n++) await pacing.slowDown(OTHER, 421, `host${n}.example`);
    for (let n = 0; n < 40; n++) await pacing.slowDown(OTHER, 421, `host${n}.example`);
    expect((await slowed()).length).toBe(32);
  });

  it('goes slower though the relay was slow with a mail in between: that wiped out what it had refused', async () => {
    // The queue as a whole has gone one step slower, and takes no other for five seconds.
    await pacing.sped(OTHER, 3, 'fine.example.org');
    for (let n = 0; n < 3; n++) await pacing.slowDown(OTHER, 451, 'fine.example.org');
    for (let n = 0; n < 3; n++) await pacing.slowDown(OTHER, 451, 'a.example.net');
    expect(await slowed()).toEqual([OTHER]);
    await pacing.sped(OTHER, 30, 'fine.example.org');
    await pacing.stalled(OTHER);
    expect(await slowed()).toEqual([OTHER, BIG]);
  });

  it('pays for the pace of all others as well, and lets it recover', async () => {
    await storm();
    for (let n = 0; n < 3; n++) await pacing.slowDown(OTHER, 421);
    expect(await slowed()).toEqual([OTHER, BIG]);
    await passSeconds(t.db, 30);
    await pacing.allow([{ queueKey: OTHER, priority: 5, due: 1 }], 1);
    const factor = async (): Promise<number> =>
      (await pacing.buckets()).find(({ key }) => key === `lane:${OTHER}`)?.slowFactor ?? 0;
    const before = await factor();
    t.clock.set(new Date(OPENED_AT.getTime() + 86_400_000));
    await pacing.sped(BIG, 1);
    expect(await factor()).toBeGreaterThan(before);
  });
});
