import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { ParkedLanes } from '../../../../src/delivery/relays/parked-lanes.service.js';
import { becomesTrue } from '../../../../src/infra/database/postmaster.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { connectionName, silences, type Silences } from '../../../support/silences.js';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

/** When a relay is called slow, and when it is given up; the clock of the process does not move here. */
const HALF_A_MINUTE = 30_000;
const TEN_MINUTES = 600_000;

/** A promise and its end. */
function gate(): { passed: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

describe('a relay that takes its time over the end of a mail', () => {
  let t: PostOffice;
  let time: Silences;
  let answer: ReturnType<typeof gate>;
  /** Connections by which a mail came that its relay keeps waiting. */
  let kept: Set<string>;

  const open = async (given: Record<string, string> = {}): Promise<void> => {
    t = await openPostOffice(given);
  };
  const parked = (): ParkedLanes => t.app.get(ParkedLanes, { strict: false });
  const relays = (): RelaysService => t.app.get(RelaysService, { strict: false });
  const keep = async (sink: SmtpSink, clientPort: number): Promise<void> => {
    kept.add(connectionName(clientPort, Number(new URL(sink.url).port)));
    await answer.passed;
  };
  /** The relay keeps these mails waiting, the first of them being 1. */
  const slowWith = (sink: SmtpSink, isSlow: (count: number) => boolean): void => {
    let count = 0;
    sink.onBody = async (clientPort) => {
      if (isSlow(++count)) await keep(sink, clientPort);
      return undefined;
    };
  };
  /** The end of a run whose relay keeps mails waiting for half a minute, one after the other. */
  const whileTimePasses = async (run: Promise<number>): Promise<number> => {
    const passing = setInterval(() => void time.pass(HALF_A_MINUTE, 0), 20);
    try {
      return await run;
    } finally {
      clearInterval(passing);
    }
  };
  const states = async (): Promise<Record<string, number>> => {
    const rows: { state: string; count: number }[] = await t.db.query(
      'select state, count(*)::int as count from message group by 1',
    );
    return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
  };

  beforeEach(async () => {
    await open();
    answer = gate();
    kept = new Set();
    time = silences(kept);
  });
  afterEach(async () => {
    answer.open();
    time.end();
    await t.close();
  });

  it('and says 250 after a minute and a half has taken the mail, which is called accepted', async () => {
    const id = await t.plan('grace@example.org');
    slowWith(t.sink, () => true);
    const run = t.sendDue();
    await time.pass(HALF_A_MINUTE);
    // The run ends without it.
    expect(await run).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'leased' });
    answer.open();
    await parked().allEnded(10_000);
    expect(await t.state(id)).toMatchObject({ state: 'accepted', code: 250, leaseUntil: null });
    expect(t.sink.mails).toHaveLength(1);
  });

  it('and says nothing for ten minutes leaves the mail unknown', async () => {
    const id = await t.plan('grace@example.org');
    slowWith(t.sink, () => true);
    const run = t.sendDue();
    await time.pass(HALF_A_MINUTE);
    await run;
    await time.pass(TEN_MINUTES);
    await parked().allEnded(10_000);
    expect(await t.state(id)).toMatchObject({ state: 'unknown', reason: 'the relay did not answer in time' });
    expect(parked().count((await relays().view())[0]?.name ?? '')).toBe(0);
  });

  it('and says nothing of some of them for ten minutes is not given up, as it has taken others since', async () => {
    const { onBody } = t.sink;
    for (const round of [1, 2]) {
      for (let n = 0; n < 3; n++) await t.plan(`slow${round}${n}@example.org`);
      slowWith(t.sink, () => true);
      const run = t.sendDue();
      await time.pass(HALF_A_MINUTE, 3);
      await run;
      t.sink.onBody = onBody;
      // Three slow ones have made the lane go slower, which is not asked here.
      await t.db.query('truncate send_bucket');
      await t.plan(`taken${round}@example.org`);
      expect(await t.sendDue()).toBe(1);
    }
    await time.pass(TEN_MINUTES, 6);
    await parked().allEnded(10_000);
    expect(await states()).toEqual({ accepted: 2, unknown: 6 });
    expect(await relays().view()).toMatchObject([{ state: 'closed' }]);
  });

  it('while the database is away as it ends keeps its slot and its lease until the ledger has that end', async () => {
    const id = await t.plan('grace@example.org');
    slowWith(t.sink, () => true);
    const run = t.sendDue();
    await time.pass(HALF_A_MINUTE);
    await run;
    await t.db.query(
      `create sequence tried;
       create function refuse() returns trigger language plpgsql as $$ begin perform nextval('tried'); raise 'away'; end $$;
       create trigger away before update on relay_state for each row execute function refuse()`,
    );
    const name = (await relays().view())[0]?.name ?? '';
    const ledger = t.db.createQueryRunner();
    await ledger.startTransaction();
    await ledger.query('select 1 from message for update');
    const ended = parked().allEnded(10_000);
    answer.open();
    const wasTried = async (): Promise<boolean> =>
      ((await t.db.query('select is_called as yes from tried')) as { yes: boolean }[])[0]?.yes === true;
    expect(await becomesTrue(wasTried, 20_000)).toBe(true);
    for (let n = 0; n < 20; n++) await t.db.query('select 1');
    expect(parked().count(name)).toBe(1);
    await ledger.commitTransaction();
    await ledger.release();
    await ended;
    expect(await t.state(id)).toMatchObject({ state: 'accepted', leaseUntil: null });
    expect(parked().count(name)).toBe(0);
  });

  it('refuses the mail late: it is tried again as any that is put off', async () => {
    const id = await t.plan('grace@example.org');
    t.sink.onBody = async (clientPort) => {
      await keep(t.sink, clientPort);
      return { code: 451, text: '4.3.0 try later' };
    };
    const run = t.sendDue();
    await time.pass(HALF_A_MINUTE);
    await run;
    answer.open();
    await parked().allEnded(10_000);
    expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 1, code: 451 });
  });

  it('with one mail: the others, and later runs, do not wait for it', async () => {
    for (let n = 0; n < 40; n++) await t.plan(`reader${n}@example.org`);
    slowWith(t.sink, (count) => count === 1);
    const run = t.sendDue();
    await time.pass(HALF_A_MINUTE);
    expect(await run).toBe(39);
    await t.plan('late@example.org', { class: 'transactional', priority: 0 });
    expect(await t.sendDue()).toBe(1);
    answer.open();
    await parked().allEnded(10_000);
    expect(await states()).toEqual({ accepted: 41 });
  });

  it('keeps its lease for as long as it is waited for, so that nobody calls it unknown', async () => {
    const id = await t.plan('buyer@example.org', { class: 'transactional' });
    slowWith(t.sink, () => true);
    const run = t.sendDue();
    await time.pass(HALF_A_MINUTE);
    await run;
    await t.db.query(
      `update message set lease_until = lease_until - interval '6 minutes', data_at = data_at - interval '6 minutes'`,
    );
    await parked().renew();
    expect(await t.ledger.reap({ now: t.clock.now() })).toEqual({ returned: 0, unknown: 0, resent: 0 });
    answer.open();
    await parked().allEnded(10_000);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    expect(t.sink.mails).toHaveLength(1);
  });

  it('keeps its mail also when the worker stood still for minutes and looks for what others left behind', async () => {
    const id = await t.plan('grace@example.org');
    slowWith(t.sink, () => true);
    const run = t.sendDue();
    await time.pass(HALF_A_MINUTE);
    await run;
    await t.db.query(
      `update message set lease_until = lease_until - interval '20 minutes', data_at = data_at - interval '20 minutes'`,
    );
    await t.app.get(JobRunner, { strict: false }).run('delivery.reap');
    expect(await t.state(id)).toMatchObject({ state: 'leased' });
    answer.open();
    await parked().allEnded(10_000);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
  });

  it('with every mail: no more hang on it than its lanes and those that find it out, and the owner hears of it', async () => {
    for (let n = 0; n < 120; n++) await t.plan(`reader${n}@example.org`);
    slowWith(t.sink, () => true);
    const run = t.sendDue();
    await time.pass(HALF_A_MINUTE, 32);
    // Lanes that were opened before the breaker was.
    await whileTimePasses(run);
    const [relay] = await relays().view();
    expect(relay?.state).toBe('open');
    const hanging = parked().count(relay?.name ?? '');
    expect(hanging).toBeGreaterThanOrEqual(32);
    // Each but the last of the five that open the breaker may free a place for one more.
    expect(hanging).toBeLessThanOrEqual(32 + 4);
    expect(await states()).toEqual({ leased: hanging, ready: 120 - hanging });
    answer.open();
    await parked().allEnded(10_000);
    expect((await relays().view())[0]?.state).toBe('closed');
    expect(await t.sendDue()).toBe(120 - hanging);
    expect(await states()).toEqual({ accepted: 120 });
  });

  it('with every mail, tried again and again: lanes and half as many wait, and no mail more is begun', async () => {
    await t.close();
    const sink = await openSmtpSink();
    await open({ SMTP_URL: `${sink.url}?lanes=4` });
    for (let n = 0; n < 30; n++) await t.plan(`reader${n}@example.org`);
    slowWith(sink, () => true);
    for (let round = 0; round < 12; round++) {
      await whileTimePasses(t.sendDue());
      await t.db.query(`update relay_state set state = 'closed', failures = 0, opened_until = null`);
      await relays().view();
    }
    expect(sink.bodiesBegun).toBe(6);
    expect(await states()).toEqual({ leased: 6, ready: 24 });
    answer.open();
    await parked().allEnded(10_000);
    expect(await t.sendDue()).toBe(24);
    await sink.close();
  });

  it('is passed over for another relay', async () => {
    await t.close();
    const [slow, other] = await Promise.all([openSmtpSink(), openSmtpSink()]);
    const SMTP_URL = `${slow.url}?name=slow&lanes=6&weight=50 ${other.url}?name=other&lanes=2&weight=1`;
    await open({ SMTP_URL });
    for (let n = 0; n < 60; n++) await t.plan(`reader${n}@example.org`);
    slowWith(slow, () => true);
    const accepted = await whileTimePasses(t.sendDue());
    expect(other.mails).toHaveLength(accepted);
    expect(slow.bodiesBegun).toBeLessThanOrEqual(6 + 3);
    expect(accepted).toBe(60 - slow.bodiesBegun);
    answer.open();
    await parked().allEnded(10_000);
    expect(await states()).toEqual({ accepted: 60 });
    await Promise.all([slow.close(), other.close()]);
  });
});
