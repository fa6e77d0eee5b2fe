import { mkdtemp, mkdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { WitnessFiles } from '../../../../src/delivery/generation/witness-files.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { openPacing, type PacingApp } from '../pacing/pacing-app.js';

const KEY = 'ledger.generation';

describe('the beat, by which a worker notes how far the ledger has come', () => {
  let t: PacingApp;
  let folder: string;
  let guard: GenerationGuard;
  const undo: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wellspring-beat-'));
    undo.push(async () => rm(folder, { recursive: true, force: true }));
    // Nothing can be written there until what it points to is made.
    await symlink(join(folder, 'disk'), join(folder, 'data'));
    t = await openPacing({ dataDir: join(folder, 'data') });
    undo.push(async () => t.close());
    guard = t.app.get(GenerationGuard);
  });
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  });

  const counter = async (): Promise<number | undefined> => {
    const rows: { counter: number }[] = await t.db.query(
      `select (value->>'counter')::int as counter from setting where key = $1`,
      [KEY],
    );
    return rows[0]?.counter;
  };
  /** The next look beats at once. */
  const startAnew = async (): Promise<unknown> =>
    t.db.query(`update setting set value = value || '{"server": "12.5"}' where key = $1`, [KEY]);
  const openAlerts = async (): Promise<string[]> =>
    (await t.app.get(AlertsService).open()).map(({ key }) => key);

  it('keeps no claim waiting while mails go without a break: each waited until all lanes had run dry', async () => {
    await mkdir(join(folder, 'disk'));
    expect(await guard.maySend()).toBe(true);
    const files = t.app.get(WitnessFiles);
    const { lineage = '', generation = 0, server = '' } = (await guard.fence(null)) ?? {};
    const mail = { id: '1', epoch: 1 };
    let going = true;
    const tell = async (): Promise<void> => {
      for (let epoch = 1; going; epoch++) {
        files.tell({ claimed: mail, entered: mail, ended: { ...mail, epoch }, lineage, generation, server });
        await nextTurn();
      }
    };
    const telling = tell();
    const stop = async (): Promise<void> => {
      going = false;
      await telling;
    };
    // Also when the look never ends.
    undo.push(stop);
    try {
      await startAnew();
      expect(await guard.maySend()).toBe(true);
    } finally {
      await stop();
    }
    expect(await counter()).toBe(2);
  });

  it('is one, although somebody looks again before it is noted: each look made another, and wrote to the disk', async () => {
    expect(await guard.maySend()).toBe(true);
    // A fresh ledger, whose first beat is due.
    await t.db.query(`delete from setting where key = $1`, [KEY]);
    const slow = t.db.createQueryRunner();
    await slow.connect();
    let first: Promise<unknown> = Promise.resolve();
    try {
      await slow.startTransaction();
      // It cannot be noted, and that cannot be said yet.
      await slow.query('lock table alert in access exclusive mode');
      first = guard.maySend();
      await vi.waitUntil(async () => (await counter()) === 1, { timeout: 25_000 });
      expect(await guard.maySend()).toBe(true);
      expect(await counter()).toBe(1);
    } finally {
      await slow.rollbackTransaction();
      await slow.release();
      await first;
    }
  });

  it('that cannot be noted is told of until one can be, and not until the process ends', async () => {
    expect(await guard.maySend()).toBe(true);
    expect(await openAlerts()).toEqual(['ledger:note']);
    await mkdir(join(folder, 'disk'));
    await startAnew();
    expect(await guard.maySend()).toBe(true);
    expect(await openAlerts()).toEqual([]);
  });
});
