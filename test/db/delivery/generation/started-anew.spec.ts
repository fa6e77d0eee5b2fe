import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { insertMessage, openPacing, openWorker, type PacingApp } from '../pacing/pacing-app.js';

const KEY = 'ledger.generation';
const UNSEEN = { reason: expect.stringContaining('started anew') };

describe('a database server that was started anew: after a reboot, or from the copy of a disk', () => {
  let t: PacingApp;
  const undo: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    t = await openPacing();
    undo.push(async () => t.close());
    await guard(t).maySend();
    await insertMessage(t.db);
  });
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  });

  const guard = ({ app }: PacingApp): GenerationGuard => app.get(GenerationGuard);
  const worker = async (options: Parameters<typeof openWorker>[1] = {}): Promise<PacingApp> => {
    const opened = await openWorker(t.url, options);
    undo.push(async () => opened.close());
    return opened;
  };
  /** As if the row had been written under another run of the server. */
  const startAnew = async (): Promise<unknown> =>
    t.db.query(`update setting set value = value || '{"server": "12.5"}' where key = $1`, [KEY]);
  const openAlerts = async (): Promise<string[]> =>
    (await t.app.get(AlertsService).open()).map(({ key }) => key);

  it('goes on with the data folder it had', async () => {
    await startAnew();
    expect(await guard(await worker({ dataDir: t.dataDir })).maySend()).toBe(true);
    expect(await openAlerts()).toEqual([]);
  });

  it.each([
    ['the first beat', 'after update'],
    ['the first row', 'after insert'],
  ])('goes on by itself after PostgreSQL crashed with %s: it asked its owner', async (_, write) => {
    await t.db.query('delete from setting where key = $1', [KEY]);
    const first = await worker();
    await t.db.query(
      `create function crash() returns trigger language plpgsql as $$ begin raise exception 'gone'; end $$`,
    );
    // At its commit, when all that comes before has been done.
    await t.db.query(
      `create constraint trigger crash ${write} on setting deferrable initially deferred for each row
         when (new.key = '${KEY}') execute function crash()`,
    );
    await expect(guard(first).maySend()).rejects.toThrow('gone');
    await t.db.query('drop trigger crash on setting');
    await startAnew();
    expect(await guard(first).maySend()).toBe(true);
    expect(await guard(await worker({ dataDir: first.dataDir })).maySend()).toBe(true);
    expect(await openAlerts()).toEqual([]);
  });

  it('sends nothing from the snapshot of a disk beside an empty data folder, until the owner says so', async () => {
    await startAnew();
    const fresh = await worker();
    expect(await guard(fresh).maySend()).toEqual(UNSEEN);
    expect(await openAlerts()).toEqual(['ledger:generation']);
    expect(await guard(fresh).confirm('hold')).toMatchObject({ needed: true, held: 1 });
    expect(await guard(fresh).maySend()).toBe(true);
    expect(await guard(await worker()).maySend()).toBe(true);
    expect(await openAlerts()).toEqual([]);
  });

  it('says in the log once that nothing is sent: each look, every two seconds, said it anew', async () => {
    await startAnew();
    const fresh = await worker();
    const said: string[] = [];
    const log = (line: unknown): number => said.push(String(line));
    Logger.overrideLogger({ log: () => undefined, error: log, warn: log });
    undo.push(async () => Logger.overrideLogger(false));
    for (let look = 0; look < 3; look++) await guard(fresh).maySend();
    expect(said).toEqual([expect.stringMatching(/^Nothing is sent: the database was started anew/)]);
  });

  it('lets every new container send while the server runs on, without asking', async () => {
    for (let release = 0; release < 3; release++) expect(await guard(await worker()).maySend()).toBe(true);
    expect(await openAlerts()).toEqual([]);
  });

  it('stops no worker that knows the ledger, and its word lets the new ones send by themselves', async () => {
    await startAnew();
    const fresh = await worker();
    expect(await guard(fresh).maySend()).toEqual(UNSEEN);
    // Within the minute of its last beat.
    expect(await guard(t).maySend()).toBe(true);
    expect(await guard(fresh).maySend()).toBe(true);
    expect(await openAlerts()).toEqual([]);
    expect(await guard(t).confirm('cancel')).toMatchObject({ needed: false });
  });

  it('knows the ledger through a restart of the server although its data folder is gone', async () => {
    await rm(join(t.dataDir, 'ledger.json'));
    await startAnew();
    expect(await guard(t).maySend()).toBe(true);
  });

  it('shows on pages elsewhere what a worker asks, and takes the owner’s word there', async () => {
    const page = await worker();
    await startAnew();
    // The page's own folder knows nothing, which is no reason to ask.
    expect(await guard(page).state()).toEqual({ ok: true });
    await guard(await worker()).maySend();
    expect(await guard(page).state()).toEqual({ ok: false, ...UNSEEN });
    expect(await guard(t).state()).toEqual({ ok: false, ...UNSEEN });
    expect(await guard(t).confirm('keep')).toMatchObject({ needed: true });
    expect(await guard(page).state()).toEqual({ ok: true });
    expect(await guard(await worker()).maySend()).toBe(true);
  });

  it('cancels no mail when the owner’s command runs beside another folder and no worker refuses', async () => {
    await startAnew();
    const nothing = { needed: false, held: 0, cancelled: 0, unknown: 0 };
    for (const unsent of ['cancel', 'hold'] as const)
      expect(await guard(await worker()).confirm(unsent)).toEqual(nothing);
    expect(await t.db.query('select state from message')).toEqual([{ state: 'ready' }]);
    // The worker that was stopped meanwhile goes on by itself.
    expect(await guard(await worker({ dataDir: t.dataDir })).maySend()).toBe(true);
  });

  it('takes the owner’s word once a worker has asked, whichever folder it is said beside', async () => {
    await startAnew();
    expect(await guard(await worker()).maySend()).toEqual(UNSEEN);
    expect(await guard(await worker()).confirm('cancel')).toMatchObject({ needed: true, cancelled: 1 });
    expect(await guard(await worker()).maySend()).toBe(true);
  });

  it('does not ask where the owner says that data folders are not kept', async () => {
    await startAnew();
    const container = await worker({ env: { DATA_DIR_KEPT: 'false' } });
    expect(await guard(container).maySend()).toBe(true);
  });

  it('asks beside a data folder that was left behind an hour before the last beat', async () => {
    await t.db.query(
      `update setting set updated_at = updated_at + interval '1 hour',
         value = jsonb_set(value, '{counter}', '70') where key = $1`,
      [KEY],
    );
    await startAnew();
    expect(await guard(await worker({ dataDir: t.dataDir })).maySend()).toEqual(UNSEEN);
  });

  it('goes on after the upgrade of a version that did not note the server, whatever the folder', async () => {
    await t.db.query(`update setting set value = value - 'server' where key = $1`, [KEY]);
    expect(await guard(await worker()).maySend()).toBe(true);
  });

  it('asks after such an upgrade of the snapshot of a disk', async () => {
    await t.db.query(
      `update setting set value = value - 'server', updated_at = pg_postmaster_start_time() - interval '1 hour' where key = $1`,
      [KEY],
    );
    expect(await guard(await worker()).maySend()).toEqual(UNSEEN);
  });
});
