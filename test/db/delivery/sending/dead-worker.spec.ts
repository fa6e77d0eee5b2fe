import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DueMessages } from '../../../../src/delivery/sending/due-messages.service.js';
import { WorkerPresence } from '../../../../src/delivery/ledger/worker-presence.service.js';
import { Reaper } from '../../../../src/delivery/sending/reaper.service.js';
import { DatabaseProxy } from '../../../fault/database-proxy.js';
import { becomesTrue } from '../../../../src/infra/database/postmaster.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

describe('mails that were claimed by a worker that is gone', () => {
  let t: PostOffice;
  let gone: PostOffice;
  let proxy: DatabaseProxy;
  beforeEach(async () => {
    t = await openPostOffice();
    gone = await openPostOffice({}, undefined, async () => {
      const url = new URL(t.config.databaseUrl);
      const { hostname: host, port } = url;
      proxy = new DatabaseProxy(() => ({ host, port: Number(port) }), Math.random);
      await proxy.listen();
      url.port = String(proxy.address.port);
      return url.href;
    });
  });
  afterEach(async () => {
    await gone.close();
    await t.close();
    await proxy.close();
  });

  const of = <T>(one: PostOffice, type: new (...args: never[]) => T): T =>
    one.app.get(type, { strict: false });
  const look = async (): Promise<void> => of(t, Reaper).run();
  const claim = async (by: PostOffice): Promise<void> => {
    await of(by, DueMessages).claim(await of(by, WorkerPresence).name(), 10);
  };
  const sessions = async (): Promise<number[]> => {
    const rows: { pid: number }[] = await t.db.query(
      `select pid from pg_stat_activity where application_name = 'wellspring presence' and datname = current_database()`,
    );
    return rows.map(({ pid }) => pid);
  };
  const present = async (): Promise<number> => (await sessions()).length;
  /** By the server. */
  const ended = async (pids: readonly number[]): Promise<void> => {
    await t.db.query('select pg_terminate_backend(pid, 25000) from unnest($1::int[]) as p (pid)', [pids]);
  };
  /** Its connection ends with the process; the server needs a moment to see that. */
  const dies = async (): Promise<void> => {
    const before = await present();
    await of(gone, WorkerPresence).onApplicationShutdown();
    if (!(await becomesTrue(async () => (await present()) < before, 25_000)))
      throw new Error('the server does not see that a worker is gone');
  };

  it('are given back at the next look of another, and not after five minutes; those of one that lives stay', async () => {
    const id = await t.plan('one@example.org');
    await claim(gone);
    const own = await t.plan('own@example.org');
    await claim(t);
    await look();
    expect([(await t.state(id))['state'], (await t.state(own))['state']]).toEqual(['leased', 'leased']);
    await dies();
    await look();
    expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0 });
    expect(await t.state(own)).toMatchObject({ state: 'leased' });
    expect(await t.sendDue()).toBe(1);
  });

  it('are given back, too, when it died before the database had answered', async () => {
    const id = await t.plan('one@example.org');
    const name = await of(gone, WorkerPresence).name();
    proxy.statementFault = {
      ...{ statement: 'ledger-claim', moment: 'committed', hit: 1, atEnd: false },
      act: () => undefined,
    };
    await expect(of(gone, DueMessages).claim(name, 10)).rejects.toThrow();
    expect(await t.state(id)).toMatchObject({ state: 'leased' });
    await dies();
    await look();
    expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0 });
  });

  it('stay with one that lives and has lost its connection: it is back under its name', async () => {
    const id = await t.plan('one@example.org');
    await claim(gone);
    const before = await sessions();
    await ended(before);
    const isBack = async (): Promise<boolean> => (await sessions()).length >= before.length;
    if (!(await becomesTrue(isBack, 25_000))) throw new Error('the worker does not come back');
    await of(gone, WorkerPresence).name();
    await look();
    expect(await t.state(id)).toMatchObject({ state: 'leased' });
  });

  it('stay with one whose connection was dropped without a word: it finds out by itself', async () => {
    const id = await t.plan('one@example.org');
    await claim(gone);
    proxy.silence({ connections: 'present' });
    await ended(await sessions());
    await of(gone, WorkerPresence).ask();
    proxy.speak();
    await look();
    expect(await t.state(id)).toMatchObject({ state: 'leased' });
  });

  it('have not seen a worker die when the database was away: each may live, and could not say so', async () => {
    await look();
    const id = await t.plan('one@example.org');
    await claim(gone);
    await dies();
    await t.db.query(
      `update setting set updated_at = clock_timestamp() - interval '2 minutes' where key = 'delivery.reaper'`,
    );
    await look();
    expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0 });
    expect(await t.db.query('select * from message_attempt')).toEqual([]);
  });

  it('stay where they are once their body was begun: the relay may have them', async () => {
    const id = await t.plan('one@example.org');
    const { messages } = await of(gone, DueMessages).claim(await of(gone, WorkerPresence).name(), 10);
    await gone.ledger.write([], [{ id, epoch: messages[0]?.epoch ?? 0 }]);
    await dies();
    await look();
    expect(await t.state(id)).toMatchObject({ state: 'leased' });
  });

  it('are not sent twice by one that lives and was taken for dead', async () => {
    const id = await t.plan('one@example.org');
    const { messages } = await of(gone, DueMessages).claim(await of(gone, WorkerPresence).name(), 10);
    await dies();
    await look();
    expect(await t.sendDue()).toBe(1);
    expect(await gone.ledger.write([], [{ id, epoch: messages[0]?.epoch ?? 0 }])).toEqual(new Set());
  });
});
