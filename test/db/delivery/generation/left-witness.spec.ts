import { readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { WitnessFiles } from '../../../../src/delivery/generation/witness-files.service.js';
import type { Claim } from '../../../../src/delivery/ledger/ledger.queries.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { openWorker, type PacingApp } from '../pacing/pacing-app.js';
import { openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const OLDER = { reason: expect.stringContaining('older') };
const EARLIER = '12.5';

describe('a worker that is started when the database has gone back by seconds, on the same timeline', () => {
  let t: PostOffice;
  const undo: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    t = await openPostOffice();
    undo.push(async () => t.close());
  });
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step();
  });

  const folder = (): string => join(t.config.dataDir, 'witness');
  const files = async (): Promise<string[]> => (await readdir(folder())).toSorted();
  /** Claims one mail, and passes the barrier with it. */
  const begin = async (email: string): Promise<Claim> => {
    const id = await t.plan(email);
    const [message] = (await t.claim('worker', 1)).messages;
    const begun = { id, epoch: message?.epoch ?? 0 };
    expect(await t.ledger.write([], [begun])).toEqual(new Set([id]));
    return begun;
  };
  const end = async ({ id, epoch }: Claim): Promise<void> => {
    const settled = {
      id,
      epoch,
      state: 'accepted',
      reason: null,
      dueAt: null,
      code: 250,
      reply: '250 taken',
    } as const;
    const how = {
      stage: 'body',
      countsAsAttempt: true,
      countsAsUnknown: false,
      durationMs: 1,
      relay: 'one',
      tls: null,
    };
    await t.ledger.write([{ ...settled, ...how, acceptedAt: t.clock.now() }], []);
  };
  /** It is killed, and the server started anew: as if all that it was told had been under the run before. */
  const killed = async (): Promise<void> => {
    await t.app.get(WitnessFiles, { strict: false }).written();
    for (const name of await files()) {
      const path = join(folder(), name);
      const told = JSON.parse(await readFile(path, 'utf8')) as object;
      await writeFile(path, JSON.stringify({ ...told, server: EARLIER }).padEnd(512));
    }
    await t.db.query(
      `update setting set value = value || jsonb_build_object('server', $1::text) where key = 'ledger.generation'`,
      [EARLIER],
    );
  };
  const worker = async (dataDir = t.config.dataDir): Promise<PacingApp> => {
    const opened = await openWorker(t.config.databaseUrl, { dataDir });
    undo.push(async () => opened.close());
    return opened;
  };
  const guard = ({ app }: PacingApp): GenerationGuard => app.get(GenerationGuard);

  it.each([
    ['claimed', `state = 'ready', lease_epoch = 0, lease_owner = null, lease_until = null, data_at = null`],
    ['begun with', `data_at = null`],
    ['ended', `state = 'leased'`],
  ])('sends nothing when the last mail had just been %s', async (what, before) => {
    const claim = await begin('reader@example.com');
    if (what === 'ended') await end(claim);
    await killed();
    // Its counter is that of the note: no beat lies in between.
    await t.db.query(`update message set ${before}`);
    const started = await worker();
    expect(await guard(started).maySend()).toEqual(OLDER);
    expect(await started.app.get(AlertsService).open()).toMatchObject([{ key: 'ledger:generation' }]);
    // The owner's word is about all that was told until then.
    expect(await guard(started).confirm('hold')).toMatchObject({ needed: true });
    expect(await guard(started).maySend()).toBe(true);
  });

  it('sends nothing although the mail does not stand in the ledger any more', async () => {
    await begin('reader@example.com');
    await killed();
    await empty(t.db, 'message');
    expect(await guard(await worker()).maySend()).toEqual(OLDER);
  });

  it('goes on by itself when nothing is missing, and keeps of the run before no more than its note', async () => {
    await end(await begin('reader@example.com'));
    await killed();
    expect(await files()).toHaveLength(1);
    const started = await worker();
    expect(await guard(started).maySend()).toBe(true);
    expect(await started.app.get(AlertsService).open()).toEqual([]);
    expect(await files()).toEqual([]);
    await t.db.query(`update message set state = 'leased'`);
    expect(await guard(started).maySend()).toBe(true);
  });

  it('asks nobody for what stands in half a file, in one of another ledger or in none', async () => {
    await end(await begin('reader@example.com'));
    await killed();
    await t.db.query(`update message set state = 'leased'`);
    const [name = ''] = await files();
    const told = await readFile(join(folder(), name), 'utf8');
    await writeFile(join(folder(), name), told.slice(0, 100));
    await writeFile(join(folder(), 'empty.witness'), '');
    const another = { ...(JSON.parse(told) as object), lineage: 'another' };
    await writeFile(join(folder(), 'another.witness'), JSON.stringify(another));
    expect(await guard(await worker()).maySend()).toBe(true);
  });

  it('leaves the files of those that may live, and takes away what is an hour old', async () => {
    await begin('reader@example.com');
    await t.app.get(WitnessFiles, { strict: false }).written();
    const [own = ''] = await files();
    const told = await readFile(join(folder(), own), 'utf8');
    await writeFile(join(folder(), 'dead.witness'), told);
    const longAgo = new Date(Date.now() - 2 * 3_600_000);
    await utimes(join(folder(), 'dead.witness'), longAgo, longAgo);
    expect(await guard(await worker()).maySend()).toBe(true);
    expect(await files()).toEqual([own]);
  });

  it('takes away what a full disk has left empty or half written, too, an hour later: each look read it, for ever', async () => {
    await begin('reader@example.com');
    await t.app.get(WitnessFiles, { strict: false }).written();
    const [own = ''] = await files();
    const longAgo = new Date(Date.now() - 2 * 3_600_000);
    for (const [name, text] of Object.entries({
      empty: '',
      half: '{"claimed": {"id": "7", "ep',
      young: '',
    })) {
      const path = join(folder(), `${name}.witness`);
      await writeFile(path, text);
      if (name !== 'young') await utimes(path, longAgo, longAgo);
    }
    expect(await guard(await worker()).maySend()).toBe(true);
    expect(await files()).toEqual([own, 'young.witness'].toSorted());
  });

  it('is told by a worker whose file was taken away while it lived', async () => {
    const claim = await begin('reader@example.com');
    const witnesses = t.app.get(WitnessFiles, { strict: false });
    await witnesses.written();
    await rm(folder(), { recursive: true });
    witnesses.beginAnew();
    await end(claim);
    await killed();
    await t.db.query(`update message set state = 'leased'`);
    expect(await guard(await worker()).maySend()).toEqual(OLDER);
  });

  it('sends from a folder in which nothing can be written', async () => {
    const witnesses = t.app.get(WitnessFiles, { strict: false });
    await rm(folder(), { recursive: true, force: true });
    await writeFile(folder(), 'in its place');
    await end(await begin('reader@example.com'));
    await witnesses.written();
    await rm(folder());
    witnesses.beginAnew();
    await end(await begin('another@example.com'));
    await witnesses.written();
    expect(await files()).toHaveLength(1);
  });
});
