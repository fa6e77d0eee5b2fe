import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SendingService } from '../../../../src/delivery/pacing/sending.service.js';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

let t: PostOffice;

/** Hundreds of mails, one after the other. */
const PATIENT = { timeout: 120_000 };

const COPIED =
  'class, kind, funnel_key, step_key, email_template_id, data, sender, address, address_hash, due_at, created_at';

/** Ten mails at once, and then one in a quarter of an hour. */
const slowBy = async (relay: string): Promise<void> => {
  await t.db.query(
    `insert into send_bucket (key, rate_per_second, burst, tokens, refilled_at, slow_factor, slowed_at, updated_at)
     values ('lane:example.com|gmail@' || $1, 0.001, 20, 10, clock_timestamp(), 1, clock_timestamp(), clock_timestamp())`,
    [relay],
  );
};
const plan = async (count: number, name = 'reader'): Promise<void> => {
  for (let n = 0; n < count; n++) await t.plan(`${name}${n}@gmail.com`);
};

describe('a relay that only takes over', () => {
  let main: SmtpSink;
  let spare: SmtpSink;
  beforeEach(async () => {
    [main, spare] = await Promise.all([openSmtpSink(), openSmtpSink()]);
    t = await openPostOffice({
      SMTP_URL: `${main.url}?name=main&lanes=4 ${spare.url}?name=spare&lanes=4&weight=0`,
    });
  });
  afterEach(async () => {
    await t.close();
    await Promise.all([main.close(), spare.close()]);
  });

  it('takes nothing of what the other is too slow for: it took all of it, at no pace', async () => {
    await slowBy('main');
    await plan(30);
    expect(await t.sendDue()).toBe(10);
    expect([main.mails.length, spare.mails.length]).toEqual([10, 0]);
  });

  it('takes all while the other is out, however slow that one is', async () => {
    await slowBy('main');
    await t.db.query(
      `insert into relay_state (key, state, failures, opened_until, updated_at)
       values ('main', 'open', 3, clock_timestamp() + interval '1 minute', clock_timestamp())`,
    );
    await plan(30);
    expect(await t.sendDue()).toBe(30);
    expect(spare.mails).toHaveLength(30);
  });
});

describe(
  'a receiver that one of two relays is too slow for, while the other takes long over its mails',
  PATIENT,
  () => {
    let fast: SmtpSink;
    let other: SmtpSink;
    let open: () => void;
    beforeEach(async () => {
      [fast, other] = await Promise.all([openSmtpSink(), openSmtpSink()]);
      const opened = new Promise<void>((resolve) => (open = resolve));
      fast.onBody = async () => {
        await opened;
        return undefined;
      };
      t = await openPostOffice({
        SMTP_URL: `${fast.url}?name=fast&lanes=2&weight=1 ${other.url}?name=other&lanes=8&weight=1000`,
      });
      await slowBy('other');
      await t.db.query('update send_bucket set tokens = 0');
    });
    afterEach(async () => {
      await t.close();
      await Promise.all([fast.close(), other.close()]);
    });

    it('does not keep a receipt to somebody else waiting: all connections waited with its mails', async () => {
      await plan(300);
      const sending = t.sendDue();
      await expect.poll(() => fast.bodiesBegun).toBe(2);
      await t.plan('buyer@example.org', { class: 'transactional', kind: 'receipt', priority: 0 });
      await expect.poll(() => other.mails.length).toBe(1);
      open();
      expect(await sending).toBe(301);
      expect([fast.mails.length, other.mails.length]).toEqual([300, 1]);
    });
  },
);

describe(
  'many receivers that one of two relays is too slow for, while the other takes long over its mails',
  PATIENT,
  () => {
    const RECEIVERS = 9;
    let fast: SmtpSink;
    let other: SmtpSink;
    let open: () => void;
    beforeEach(async () => {
      [fast, other] = await Promise.all([openSmtpSink(), openSmtpSink()]);
      const opened = new Promise<void>((resolve) => (open = resolve));
      fast.onBody = async () => {
        await opened;
        return 451;
      };
      t = await openPostOffice({
        SMTP_URL: `${fast.url}?name=fast&lanes=2&weight=1 ${other.url}?name=other&lanes=8&weight=1000`,
      });
      await t.db.query(
        `insert into send_bucket (key, rate_per_second, burst, tokens, refilled_at, slow_factor, slowed_at, updated_at)
       select 'lane:example.com|other|r' || n || '.test@other', 0.001, 20, 0, clock_timestamp(), 1, clock_timestamp(), clock_timestamp()
       from generate_series(1, $1) n`,
        [RECEIVERS],
      );
    });
    afterEach(async () => {
      await t.close();
      await Promise.all([fast.close(), other.close()]);
    });
    const copies = async (id: string, count: number, priority: number): Promise<void> => {
      await t.db.query(
        `insert into message (${COPIED}, dedupe_key, message_id_header, lane_key, priority)
       select ${COPIED}, 'copy:' || $3 || ':' || n, '<copy' || $3 || '.' || n || '@example.com>',
         'example.com|other|r' || (n % $4 + 1) || '.test', $3::smallint
       from message, generate_series(1, $2::int) n where id = $1`,
        [id, count, priority, RECEIVERS],
      );
    };
    const leased = async (priority: number): Promise<number> => {
      const [row]: { count: number }[] = await t.db.query(
        `select count(*)::int as count from message where state = 'leased' and priority = $1`,
        [priority],
      );
      return row?.count ?? 0;
    };

    it('keep nobody waiting whose mail may go by the other: with a thousand that waited no bulk mail was claimed', async () => {
      const id = await t.plan('first@example.org', { class: 'transactional', kind: 'receipt' });
      await t.db.query(`update message set due_at = due_at + interval '1 day'`);
      await copies(id, RECEIVERS * 300, 5);
      await t.db.query(`update message set due_at = due_at - interval '1 day' where priority = 5`);
      const signal = new AbortController();
      const sending = t
        .newSender()
        .sendDue({ deadline: t.clock.now().getTime() + 60_000, signal: signal.signal });
      await expect.poll(() => leased(5)).toBeGreaterThanOrEqual(1_024);
      await t.plan('late@example.org');
      await expect.poll(() => other.mails.length).toBe(1);
      signal.abort();
      open();
      await sending;
      expect(await leased(5)).toBe(0);
    });

    it('have no more than some thousand receipts in the hands of a worker: it claimed all there were', async () => {
      const id = await t.plan('first@example.org', { class: 'transactional', kind: 'receipt' });
      await copies(id, 6_000, 0);
      const signal = new AbortController();
      const sending = t
        .newSender()
        .sendDue({ deadline: t.clock.now().getTime() + 60_000, signal: signal.signal });
      await expect.poll(() => leased(0)).toBeGreaterThanOrEqual(2_048);
      await t.plan('late@example.org');
      await expect.poll(() => other.mails.length).toBe(2);
      expect(await leased(0)).toBeLessThan(2_400);
      signal.abort();
      open();
      await sending;
      expect(await leased(0)).toBe(0);
    });
  },
);

describe('the one relay that is left of several', () => {
  let left: SmtpSink;
  beforeEach(async () => {
    left = await openSmtpSink();
    t = await openPostOffice({ SMTP_URL: `${left.url}?name=left&lanes=4` });
  });
  afterEach(async () => {
    await t.close();
    await left.close();
  });

  it('keeps the pace that it was asked for beside them, which grows again: receivers got all at once', async () => {
    await slowBy('left');
    await plan(30);
    expect(await t.sendDue()).toBe(10);
    expect(await t.app.get(SendingService, { strict: false }).estimate(null)).toMatchObject({
      remaining: 20,
      limitedBy: 'lane:example.com|gmail@',
    });
    t.clock.advance(2_000);
    await t.db.query(
      `update send_bucket set slow_factor = 0.5, tokens = 2, updated_at = updated_at - interval '2 minutes'`,
    );
    expect(await t.sendDue()).toBe(2);
    const [pace]: { factor: number }[] = await t.db.query(`select slow_factor as factor from send_bucket`);
    expect(pace?.factor).toBeGreaterThan(0.5);
  });
});
