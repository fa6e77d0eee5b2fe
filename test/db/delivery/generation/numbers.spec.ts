import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { backUp } from '../../../support/restored-backup.js';
import { insertMessage, openPacing, openWorker, type PacingApp } from '../pacing/pacing-app.js';

describe('the numbers of a restored backup', () => {
  let t: PacingApp;
  let kept: string;
  const undo: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    t = await openPacing();
    undo.push(async () => t.close());
    await guard(t).maySend();
    kept = await insertMessage(t.db);
  });
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  });

  const guard = ({ app }: PacingApp): GenerationGuard => app.get(GenerationGuard);
  const worker = async (dataDir?: string): Promise<PacingApp> => {
    const opened = await openWorker(t.url, dataDir === undefined ? {} : { dataDir });
    undo.push(async () => opened.close());
    return opened;
  };
  /** As if the row had been written under another run of the server. */
  const startAnew = async (): Promise<unknown> =>
    t.db.query(`update setting set value = value || '{"server": "12.5"}' where key = 'ledger.generation'`);
  const isMoved = (id: string): boolean => Number(id) > 1e15;
  const next = async (): Promise<string> => insertMessage(t.db);
  /** A backup, and a beat after it that the folder knows of. */
  const olderBackup = async (): Promise<() => Promise<void>> => {
    const { restore } = await backUp(t.db);
    await startAnew();
    await guard(t).maySend();
    return restore;
  };

  it('go on where no row has had one, in all tables, and stay whole numbers of JavaScript', async () => {
    const restore = await olderBackup();
    expect(isMoved(await next())).toBe(false);
    await restore();
    await guard(t).maySend();
    expect(isMoved(await next())).toBe(true);
    const numbers: { last: string }[] = await t.db.query(
      `select last_value as last from pg_sequences where data_type = 'bigint'::regtype and schemaname = 'public'`,
    );
    expect(numbers.length).toBeGreaterThan(20);
    expect(numbers.filter(({ last }) => !isMoved(last) || !Number.isSafeInteger(Number(last)))).toEqual([]);
  });

  it('move once, however many look, at once or later', async () => {
    const restore = await olderBackup();
    const others = [await worker(t.dataDir), await worker(t.dataDir), await worker()];
    await restore();
    await Promise.all(others.slice(0, 2).map(async (one) => guard(one).maySend()));
    const first = await next();
    for (const one of [t, ...others]) {
      await guard(one).maySend();
      await guard(one).lookAtStart({ isWorker: true });
    }
    expect(isMoved(first)).toBe(true);
    expect(Number(await next())).toBe(Number(first) + 1);
  });

  it('move further each time the same backup is restored, confirmed or not', async () => {
    const restore = await olderBackup();
    const given: number[] = [];
    for (const isConfirmed of [false, true, false]) {
      await restore();
      await guard(t).maySend();
      given.push(Number(await next()));
      if (isConfirmed) await guard(t).confirm('keep');
      given.push(Number(await next()));
    }
    expect(new Set(given).size).toBe(given.length);
    expect(given).toEqual(given.toSorted((a, b) => a - b));
  });

  it('move further although the clock of a restore before was ahead', async () => {
    await t.db.query(`select setval(pg_get_serial_sequence('message', 'id'), 3000000000000000)`);
    const restore = await olderBackup();
    await restore();
    await guard(t).maySend();
    expect(Number(await next())).toBeGreaterThan(3_000_000_900_000_000);
  });

  it('move when a backup is restored that was made while one was refused', async () => {
    const restore = await olderBackup();
    await restore();
    await guard(t).maySend();
    const refused = await backUp(t.db);
    const lost = await next();
    await refused.restore();
    // A restored cluster is another run of the server, which is what a row of before does not say.
    await t.db.query(
      `update setting set value = value || '{"moved": "12.5/1/1"}' where key = 'ledger.generation'`,
    );
    await guard(await worker()).lookAtStart({ isWorker: false });
    expect(Number(await next())).toBeGreaterThan(Number(lost));
  });

  it('have moved before a process without the role of a worker listens', async () => {
    const restore = await olderBackup();
    await restore();
    await guard(await worker(t.dataDir)).lookAtStart({ isWorker: false });
    expect(isMoved(await next())).toBe(true);
  });

  it('move when only the owner’s command sees it', async () => {
    const restore = await olderBackup();
    await restore();
    expect(await guard(await worker(t.dataDir)).confirm('hold')).toMatchObject({ needed: true });
    expect(isMoved(await next())).toBe(true);
  });

  it('move where a worker cannot know whether it is one, and not because a page’s folder knows nothing', async () => {
    await startAnew();
    const fresh = await worker();
    await guard(fresh).lookAtStart({ isWorker: false });
    expect(isMoved(await next())).toBe(false);
    await guard(fresh).lookAtStart({ isWorker: true });
    expect(isMoved(await next())).toBe(true);
  });

  it('move before a web process beside an empty folder takes sign-ups, as on the copy of a disk, where no worker tells in time', async () => {
    await startAnew();
    await guard(await worker()).lookAtStart({ isWorker: false, othersMs: 0 });
    expect(isMoved(await next())).toBe(true);
  });

  it('stay beside a web process that knows nothing where a worker does, and says so in time', async () => {
    await startAnew();
    const page = guard(await worker()).lookAtStart({ isWorker: false, othersMs: 60_000 });
    await guard(t).maySend();
    await page;
    expect(isMoved(await next())).toBe(false);
  });

  it('kept a process from starting where a sequence that is not ours ends lower; it and those of others stay', async () => {
    await t.db.query(
      `create sequence counter_of_others; select nextval('counter_of_others');
       create table small_numbers (id bigint generated always as identity (maxvalue 1000), n int);
       create table of_others (id bigint generated always as identity, n int); alter table of_others owner to pg_monitor;
       insert into small_numbers (n) values (1); insert into of_others (n) values (1)`,
    );
    const restore = await olderBackup();
    await restore();
    await guard(await worker(t.dataDir)).lookAtStart({ isWorker: false });
    expect(isMoved(await next())).toBe(true);
    const others: unknown[] = await t.db.query(
      `select sequencename, last_value as last from pg_sequences where data_type = 'bigint'::regtype and schemaname = 'public'
         and last_value < 1000 order by 1`,
    );
    expect(others).toEqual(
      ['counter_of_others', 'of_others_id_seq', 'small_numbers_id_seq'].map((sequencename) => ({
        sequencename,
        last: '1',
      })),
    );
  });

  it('move where another role owns the table, as after a change of the database’s user: they were given twice', async () => {
    await t.db.query('alter table message owner to pg_monitor');
    const restore = await olderBackup();
    await restore();
    await guard(t).maySend();
    expect(isMoved(await next())).toBe(true);
  });

  it('stay where the database’s user may not move them, which keeps no process from starting', async () => {
    const name = `lesser_${randomBytes(6).toString('hex')}`;
    await t.db.query(
      `create role ${name}; grant select, insert, update, delete on all tables in schema public to ${name};
       grant all on all sequences in schema public to ${name}; revoke update on sequence subscriber_id_seq from ${name}`,
    );
    undo.push(async () => t.db.query(`drop owned by ${name}; drop role ${name}`));
    const restore = await olderBackup();
    await restore();
    // For sessions from now on; those of `t` were there before.
    const database = new URL(t.url).pathname.slice(1);
    await t.db.query(`alter database ${database} set role = '${name}'`);
    const lesser = await worker(t.dataDir);
    const last = async (): Promise<unknown> =>
      t.db.query(`select last_value as last from pg_sequences where sequencename = 'subscriber_id_seq'`);
    const before = await last();
    await guard(lesser).lookAtStart({ isWorker: false });
    const users: unknown[] = await lesser.db.query('select current_user as name');
    expect(users).toEqual([{ name }]);
    expect([isMoved(await next()), await last()]).toEqual([true, before]);
  });

  it('stay while the server runs on, and beside a folder that knows the ledger', async () => {
    await guard(await worker()).lookAtStart({ isWorker: true });
    await startAnew();
    await guard(await worker(t.dataDir)).lookAtStart({ isWorker: true });
    await guard(t).confirm('keep');
    expect(Number(await next())).toBe(Number(kept) + 1);
  });

  it('begin high in an empty database beside the folder of another, whose key signs the links of both', async () => {
    const note = { lineage: 'of before', generation: 3, counter: 9, folder: null, place: null, atMs: null };
    await writeFile(join(t.dataDir, 'ledger.json'), JSON.stringify(note));
    await t.db.query('truncate message cascade');
    await t.db.query(`delete from setting where key = 'ledger.generation'`);
    await guard(await worker(t.dataDir)).lookAtStart({ isWorker: false });
    expect(isMoved(await next())).toBe(true);
  });
});
