import { randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { createTestDatabase } from '../../../support/database.js';
import { insertMessage, openPacing, openWorker, OPENED_AT, type PacingApp } from '../pacing/pacing-app.js';

const DAY_MS = 86_400_000;

describe('a database that is not the one that sent last', () => {
  let t: PacingApp;
  const undo: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    t = await openPacing();
    undo.push(async () => t.close());
  });
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  });

  const guard = ({ app }: PacingApp): GenerationGuard => app.get(GenerationGuard);
  const worker = async (url: string, dataDir?: string): Promise<PacingApp> => {
    const opened = await openWorker(url, dataDir === undefined ? {} : { dataDir });
    undo.push(async () => opened.close());
    return opened;
  };
  const note = async ({ dataDir }: PacingApp): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(join(dataDir, 'ledger.json'), 'utf8')) as Record<string, unknown>;
  const counter = async (): Promise<number> => {
    const rows: { counter: number }[] = await t.db.query(
      `select (value->>'counter')::int as counter from setting where key = 'ledger.generation'`,
    );
    return rows[0]?.counter ?? 0;
  };
  const states = async (from: PacingApp = t): Promise<unknown> => {
    const rows: { row: string }[] = await from.db.query(
      `select dedupe_key || ' ' || state || coalesce(' (' || state_reason || ')', '') as row from message order by id`,
    );
    return rows.map(({ row }) => row.replace(/^test:\d+ /, ''));
  };
  /** Puts the ledger back to what it was, as a backup of the whole cluster does. */
  const backup = async (): Promise<() => Promise<void>> => {
    const rows: { value: unknown }[] = await t.db.query(
      `select value from setting where key = 'ledger.generation'`,
    );
    return async () => {
      await t.db.query(`update setting set value = $1 where key = 'ledger.generation'`, [
        JSON.stringify(rows[0]?.value),
      ]);
    };
  };

  it('may send at the first start, and keeps a note of it that only its account can read', async () => {
    expect(await guard(t).maySend()).toBe(true);
    expect(await note(t)).toMatchObject({ generation: 1, counter: 1, folder: null });
    expect((await stat(join(t.dataDir, 'ledger.json'))).mode & 0o777).toBe(0o600);
  });

  it('lets a second worker with a data folder of its own join without ceremony', async () => {
    await guard(t).maySend();
    const second = await worker(t.url);
    expect(await guard(second).maySend()).toBe(true);
    expect(await guard(t).maySend()).toBe(true);
    expect(await note(second)).toMatchObject({ counter: 2 });
    const both = await Promise.all(
      Array.from({ length: 8 }, async () => guard(await worker(t.url)).maySend()),
    );
    expect(new Set(both)).toEqual(new Set([true]));
    expect(await counter()).toBe(10);
  });

  it('lets workers that start together on a fresh database all send', async () => {
    const workers = await Promise.all(Array.from({ length: 6 }, async () => worker(t.url)));
    const all = await Promise.all(workers.map(async (one) => guard(one).maySend()));
    expect(new Set(all)).toEqual(new Set([true]));
    expect(await counter()).toBe(6);
  });

  it('refuses on a copy of the database, on the same server and with the same data folder', async () => {
    await guard(t).maySend();
    await t.db.destroy();
    const name = `copy_${randomBytes(6).toString('hex')}`;
    const admin = new Client({ connectionString: inject('adminDatabaseUrl') });
    await admin.connect();
    undo.unshift(async () => {
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.end();
    });
    const source = new URL(t.url).pathname.slice(1);
    await admin.query(`create database ${name} template ${source}`);
    const url = new URL(t.url);
    url.pathname = `/${name}`;
    const copy = await worker(url.href, t.dataDir);
    expect(await guard(copy).maySend()).toEqual({ reason: expect.stringContaining('copy') });
    expect(await copy.app.get(AlertsService).open()).toMatchObject([
      { key: 'ledger:generation', severity: 'critical' },
    ]);
    // The original goes on.
    expect(await guard(await worker(t.url)).maySend()).toBe(true);
  });

  it('refuses on a dump that was restored into another database', async () => {
    await guard(t).maySend();
    const elsewhere = await createTestDatabase();
    undo.unshift(async () => elsewhere.drop());
    const restored = await worker(elsewhere.url);
    const rows: { value: unknown }[] = await t.db.query(
      `select value from setting where key = 'ledger.generation'`,
    );
    await restored.db.query(
      `insert into setting (key, value, updated_at) values ('ledger.generation', $1, now())`,
      [JSON.stringify(rows[0]?.value)],
    );
    expect(await guard(restored).maySend()).toEqual({ reason: expect.stringContaining('restored') });
  });

  it('refuses on a dump that was restored into the same database', async () => {
    await guard(t).maySend();
    await t.db.query(`create table fresh (like setting including all);
      insert into fresh select * from setting; drop table setting; alter table fresh rename to setting`);
    expect(await guard(t).maySend()).toEqual({ reason: expect.stringContaining('restored') });
  });

  it('refuses on a backup of the whole server, also in workers that cannot know', async () => {
    await guard(t).maySend();
    const restore = await backup();
    await guard(await worker(t.url, t.dataDir)).maySend();
    await restore();
    expect(await guard(t).maySend()).toEqual({ reason: expect.stringContaining('older') });
    expect(await guard(await worker(t.url)).maySend()).toEqual({ reason: expect.stringContaining('older') });
    expect(await counter()).toBe(1);
  });

  it('refuses on a backup of before its first start', async () => {
    await guard(t).maySend();
    await t.db.query('delete from setting');
    await insertMessage(t.db);
    expect(await guard(t).maySend()).toEqual({ reason: expect.stringContaining('older') });
    expect(await guard(await worker(t.url)).maySend()).toEqual({ reason: expect.stringContaining('older') });
    expect(await guard(t).confirm('keep')).toMatchObject({ needed: true });
    expect(await guard(t).maySend()).toBe(true);
  });

  it('refuses with a note nobody can read until the owner confirms, and disturbs no other worker', async () => {
    await guard(t).maySend();
    await writeFile(join(t.dataDir, 'ledger.json'), '{"lin');
    expect(await guard(t).maySend()).toEqual({ reason: expect.stringContaining('cannot be read') });
    expect(await guard(await worker(t.url)).maySend()).toBe(true);
    expect(await guard(t).confirm('keep')).toMatchObject({ needed: true });
    expect(await guard(t).maySend()).toBe(true);
  });

  describe('when the owner confirms', () => {
    let second: PacingApp;
    beforeEach(async () => {
      await guard(t).maySend();
      second = await worker(t.url);
      const restore = await backup();
      await guard(second).maySend();
      await restore();
      await insertMessage(t.db);
      await insertMessage(t.db, { due_at: new Date(OPENED_AT.getTime() + DAY_MS), class: 'transactional' });
      for (const state of ['leased', 'leased', 'accepted', 'held'])
        await insertMessage(t.db, { state, lease_until: state === 'leased' ? OPENED_AT : null });
      await guard(second).maySend();
    });

    it('holds what waits, calls unknown what was on its way, and sends again', async () => {
      expect(await guard(t).confirm('hold')).toEqual({ needed: true, held: 3, cancelled: 0, unknown: 2 });
      expect(await states()).toEqual([
        'held (restored backup)',
        'held (restored backup)',
        'unknown (restored backup)',
        'unknown (restored backup)',
        'accepted',
        'held (restored backup)',
      ]);
      expect(await guard(t).maySend()).toBe(true);
      expect(await guard(second).maySend()).toBe(true);
      expect(await guard(await worker(t.url)).maySend()).toBe(true);
      expect(await t.app.get(AlertsService).open()).toEqual([]);
      expect(await guard(t).lastConfirmed()).toEqual({ at: OPENED_AT.toISOString(), unsent: 'hold' });
    });

    it('cancels what waits when told so', async () => {
      expect(await guard(t).confirm('cancel')).toMatchObject({ cancelled: 3, unknown: 2 });
      expect(await states()).toContain('cancelled (restored backup)');
    });

    it('leaves everything as it is when told that nothing went out', async () => {
      expect(await guard(t).confirm('keep')).toEqual({ needed: true, held: 0, cancelled: 0, unknown: 0 });
      expect(await states()).toEqual(['ready', 'ready', 'leased', 'leased', 'accepted', 'held']);
      expect(await guard(second).maySend()).toBe(true);
    });

    it('does nothing when there is nothing to confirm', async () => {
      await guard(t).confirm('keep');
      expect(await guard(t).confirm('cancel')).toEqual({ needed: false, held: 0, cancelled: 0, unknown: 0 });
      expect(await states()).toContain('ready');
    });

    it('notices when the same backup is restored once more', async () => {
      const restore = await backup();
      await guard(t).confirm('hold');
      expect(await guard(t).maySend()).toBe(true);
      await restore();
      await t.db.query(
        `update setting set value = value || '{"refused": null}' where key = 'ledger.generation'`,
      );
      expect(await guard(t).maySend()).toEqual({ reason: expect.stringContaining('older') });
    });
  });
});
