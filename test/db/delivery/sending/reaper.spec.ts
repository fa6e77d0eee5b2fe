import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AcceptedJournal } from '../../../../src/delivery/ledger/accepted-journal.service.js';
import { FrequencyCapService } from '../../../../src/delivery/pacing/frequency-cap.service.js';
import { ParkedLanes } from '../../../../src/delivery/relays/parked-lanes.service.js';
import { Reaper } from '../../../../src/delivery/sending/reaper.service.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

const DAY = { seconds: 86_400 };

describe('a receipt whose body is under way when nobody looks after the ledger any more', () => {
  let t: PostOffice;
  let receipt: string;
  beforeEach(async () => {
    t = await openPostOffice();
  });
  afterEach(async () => t.close());

  /** Each is a process of its own, started at this moment. */
  const worker = (): Reaper =>
    new Reaper(
      t.db,
      t.ledger,
      t.app.get(AcceptedJournal, { strict: false }),
      t.app.get(ParkedLanes, { strict: false }),
      t.app.get(FrequencyCapService, { strict: false }),
      t.clock,
    );
  const begin = async (): Promise<void> => {
    receipt = await t.plan('receipt@example.com', { class: 'transactional' });
    const { messages } = await t.claim('first', 1);
    expect(await t.ledger.write([], [{ id: receipt, epoch: messages[0]?.epoch ?? 0 }])).toEqual(
      new Set([receipt]),
    );
  };
  const leaseRunsOut = async (): Promise<unknown> =>
    t.db.query(
      `update message set lease_until = lease_until - interval '1 day', data_at = data_at - interval '1 day'`,
    );
  /** The last look at the ledger, and what it found, are older by so much. */
  const lookWas = async ({ seconds }: { seconds: number }): Promise<unknown> =>
    t.db.query(
      `update setting set updated_at = updated_at - $1 * interval '1 second',
         value = jsonb_set(value, '{backAt}', coalesce(to_jsonb((value->>'backAt')::timestamptz - $1 * interval '1 second'), 'null'))
       where key = 'delivery.reaper'`,
      [seconds],
    );
  const state = async (): Promise<unknown> => (await t.state(receipt))['state'];

  it('is not sent once more because a worker was started as the database came back, before its own could write its 250', async () => {
    await worker().run();
    await begin();
    await leaseRunsOut();
    await lookWas(DAY);
    await worker().run();
    expect(await state()).toBe('leased');
    // Nor by the next that is started, ten seconds later.
    await lookWas({ seconds: 10 });
    await worker().run();
    expect(await state()).toBe('leased');
  });

  it('is not sent once more before the worker whose relay is slow had its turn to say that it still waits', async () => {
    await worker().run();
    await begin();
    await leaseRunsOut();
    await lookWas(DAY);
    await worker().run();
    // Another one, started just before that renewal.
    await lookWas({ seconds: 29 });
    await worker().run();
    expect(await state()).toBe('leased');
  });

  it('is not sent once more by the first worker of this version, either', async () => {
    await begin();
    await leaseRunsOut();
    await worker().run();
    expect(await state()).toBe('leased');
  });

  it('is taken up in the second round after that, when its worker is dead', async () => {
    await worker().run();
    await begin();
    await leaseRunsOut();
    await lookWas(DAY);
    await worker().run();
    for (let round = 0; round < 2; round++) {
      await lookWas({ seconds: 30 });
      await worker().run();
    }
    expect(await state()).toBe('ready');
  });

  it('is taken up at once when its worker died while others looked after the ledger, whoever has the round', async () => {
    const [one, other] = [worker(), worker()];
    await one.run();
    await begin();
    await leaseRunsOut();
    await lookWas({ seconds: 60 });
    await other.run();
    expect(await state()).toBe('ready');
  });

  it('does not wait for ever when each round comes minutes after the one before', async () => {
    await worker().run();
    await begin();
    await leaseRunsOut();
    await lookWas({ seconds: 120 });
    await worker().run();
    expect(await state()).toBe('leased');
    await lookWas({ seconds: 120 });
    await worker().run();
    expect(await state()).toBe('ready');
  });
});
