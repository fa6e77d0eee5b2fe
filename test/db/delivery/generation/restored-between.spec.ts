import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { freePort } from '../../../../src/infra/free-port.js';
import { DatabaseFront } from '../../../support/database-front.js';
import { DurablePostgres } from '../../../support/durable-postgres.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

/** A PostgreSQL of its own, as its files are exchanged. */
describe('a base backup that is restored while a mail waits at the barrier', { timeout: 120_000 }, () => {
  let cluster: DurablePostgres;
  let front: DatabaseFront;
  let t: PostOffice;
  beforeAll(async () => {
    cluster = await DurablePostgres.start();
    front = await new DatabaseFront(() => cluster.address, await freePort()).open();
    const name = await cluster.createDatabase();
    const address = { host: '127.0.0.1', port: front.port };
    t = await openPostOffice({}, undefined, async () => cluster.url(name, address));
  }, 120_000);
  afterAll(async () => {
    await t.close();
    await front.close();
    await cluster.close();
  });

  /** Each connection that the restart has cut is found out by the statement that gets it. */
  const afterRestart = async <T>(work: () => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++)
      try {
        return await work();
      } catch (error) {
        if (tries > 20) throw error;
      }
  };

  it('lets out no mail, whose reader may have left since, and claims none, at the first statement after the restart', async () => {
    const id = await t.plan('reader@example.com');
    await t.plan('other@example.com');
    const [message] = (await t.claim('worker', 1)).messages;
    expect(message?.id).toBe(id);
    const claim = { id, epoch: message?.epoch ?? 0 };
    await cluster.backUpLive();
    await t.db.query(`update subscriber set status = 'unsubscribed'`);
    const judged = await t.app.get(GenerationGuard, { strict: false }).fence(t.ledger.witness);
    await cluster.restoreBackup();
    // The older state says that both may go.
    expect(await afterRestart(async () => t.db.query('select distinct status from subscriber'))).toEqual([
      { status: 'active' },
    ]);
    expect(await afterRestart(async () => t.ledger.write([], [claim], true))).toEqual(new Set());
    if (judged === null) throw new Error('it was judged before');
    const places = [{ queueKey: 'example.com|other', priority: 5, limit: 1 }];
    const overdue = { restored: null, late: null, unsigned: null };
    expect(
      await t.ledger.claim('worker', { places, limit: 1, now: t.clock.now(), overdue, fence: judged }),
    ).toMatchObject({ taken: 0 });
  });
});
