import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AcceptedJournal } from '../../../../src/delivery/ledger/accepted-journal.service.js';
import { Ledger } from '../../../../src/delivery/ledger/ledger.service.js';
import { becomesTrue } from '../../../../src/infra/database/postmaster.js';
import type { Settlement } from '../../../../src/delivery/replies/settlement.js';
import { gate, untilWaiting, empty } from '../../../support/database.js';
import { syncedBy } from '../../../support/synced.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

describe('the journal of what relays accepted while the database was away', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => t.close());
  afterEach(async () => empty(t.db, 'message, message_attempt, subscriber'));

  /** Its body is with the relay, and the relay has said 250. */
  const accepted = async (email: string): Promise<Settlement> => {
    await t.plan(email);
    const { messages } = await t.claim('first', 1);
    const [message] = messages;
    if (!message) throw new Error('nothing was claimed');
    const { id, epoch } = message;
    await t.ledger.write([], [{ id, epoch }]);
    return {
      ...{ id, epoch, state: 'accepted', reason: null, dueAt: null, code: 250, reply: '250 2.0.0 taken' },
      ...{ stage: 'body', acceptedAt: t.clock.now(), countsAsAttempt: true, countsAsUnknown: false },
      ...{ relay: 'one', tls: null, durationMs: 5 },
    };
  };
  const files = async (): Promise<string[]> => readdir(join(t.config.dataDir, 'journal')).catch(() => []);

  it('loses nothing of a worker that goes on writing when another one in the same folder has replayed its file', async () => {
    const [one, two] = [await accepted('one@example.com'), await accepted('two@example.com')];
    const [writer, other] = [
      new AcceptedJournal(t.ledger, t.config),
      new AcceptedJournal(t.ledger, t.config),
    ];
    await writer.keep([one]);
    expect(await other.replay()).toBe(1);
    expect(await t.state(one.id)).toMatchObject({ state: 'accepted' });
    await writer.keep([two]);
    // The writer is killed: what it kept is there for whoever comes.
    expect(await other.replay()).toBe(2);
    expect(await t.state(two.id)).toMatchObject({ state: 'accepted' });
    await writer.forget();
    expect(await files()).toEqual([]);
  });

  it('survives a power cut: its first file was written through, and neither its name nor that of its folder', async () => {
    const one = await accepted('one@example.com');
    const { dataDir } = t.config;
    await rm(join(dataDir, 'journal'), { recursive: true, force: true });
    const writer = new AcceptedJournal(t.ledger, t.config);
    const isSynced = await syncedBy(async () => writer.keep([one]));
    const [name = ''] = await files();
    for (const path of [join(dataDir, 'journal', name), join(dataDir, 'journal'), dataDir])
      expect([path, await isSynced(path)]).toEqual([path, true]);
    const more = await syncedBy(async () => writer.keep([one]));
    expect(await more(join(dataDir, 'journal', name))).toBe(true);
    await writer.forget();
  });

  it('has what was accepted while the database hangs, before any statement fails', async () => {
    const one = await accepted('one@example.com');
    const hangs = await gate(t.db, 'select 1 from message where id = $1 for update', [one.id]);
    const settled = t.app.get(Ledger, { strict: false }).settle(one);
    let kept = '';
    const isKept = async (): Promise<boolean> => {
      const [name] = await files();
      if (name) kept = await readFile(join(t.config.dataDir, 'journal', name), 'utf8');
      return kept.endsWith('\n');
    };
    expect(await becomesTrue(isKept, 20_000)).toBe(true);
    expect(JSON.parse(kept)).toMatchObject({ id: one.id, state: 'accepted' });
    await hangs.open();
    await settled;
    await t.app.get(Ledger, { strict: false }).settled();
    expect(await t.state(one.id)).toMatchObject({ state: 'accepted' });
    expect(await files()).toEqual([]);
  });

  it('has those that wait behind an entry which the ledger refuses, when the database fails then', async () => {
    const [bad, hanging, good] = [
      await accepted('bad@example.com'),
      await accepted('hanging@example.com'),
      await accepted('good@example.com'),
    ];
    const hangs = await gate(t.db, 'select 1 from message where id = $1 for update', [hanging.id]);
    const ledger = t.app.get(Ledger, { strict: false });
    // All three go in one statement; no column holds such a code, so each is written by itself then.
    const settled = [{ ...bad, code: 3_000_000_000 }, hanging, good].map(async (one) => ledger.settle(one));
    await untilWaiting(t.db, 1);
    await t.db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
    );
    const hasGood = async (): Promise<boolean> => {
      const [name] = await files();
      if (name === undefined) return false;
      return (await readFile(join(t.config.dataDir, 'journal', name), 'utf8')).includes(`"id":"${good.id}"`);
    };
    expect(await becomesTrue(hasGood, 20_000)).toBe(true);
    await hangs.open();
    await Promise.all(settled);
    await ledger.settled();
    expect([await t.state(hanging.id), await t.state(good.id)]).toMatchObject([
      { state: 'accepted' },
      { state: 'accepted' },
    ]);
    expect(await files()).toEqual([]);
  });

  it('is not needed for a mail whose relay says 250 in words that the ledger refuses: it was leased on, and sent once more', async () => {
    const [odd, worse] = [await accepted('odd@example.com'), await accepted('worse@example.com')];
    const ledger = t.app.get(Ledger, { strict: false });
    await ledger.settle({ ...odd, code: 3_000_000_000, reply: `250 2.0.0 taken \0 by us` });
    expect(await t.state(odd.id)).toMatchObject({ state: 'accepted', leaseUntil: null });
    // Nothing that PostgreSQL could take is left of this one.
    await ledger.settle({ ...worse, epoch: 3_000_000_000 });
    await ledger.settled();
    const [name = ''] = await files();
    expect(name).toMatch(/^accepted-[0-9a-f-]{36}\.jsonl\.refused$/);
    const aside = await readFile(join(t.config.dataDir, 'journal', name), 'utf8');
    expect(JSON.parse(aside)).toMatchObject({ id: worse.id, state: 'accepted' });
    await rm(join(t.config.dataDir, 'journal', name));
  });

  it('has what could not be written into it when it can be written again', async () => {
    const [one, two] = [await accepted('one@example.com'), await accepted('two@example.com')];
    const folder = join(t.config.dataDir, 'journal');
    await rm(folder, { recursive: true, force: true });
    await writeFile(folder, 'in the way');
    const writer = new AcceptedJournal(t.ledger, t.config);
    await writer.keep([one]);
    await rm(folder);
    await writer.keep([two]);
    const after = new AcceptedJournal(t.ledger, t.config);
    expect(await after.replay()).toBe(2);
    expect([await t.state(one.id), await t.state(two.id)]).toMatchObject([
      { state: 'accepted' },
      { state: 'accepted' },
    ]);
    await writer.forget();
    expect(await files()).toEqual([]);
  });

  it('is left when the database is quick again, although the lanes are busy all the time', async () => {
    const ledger = t.app.get(Ledger, { strict: false });
    const others: Settlement[] = [];
    for (let n = 0; n <= 200; n++) others.push(await accepted(`r${n}@example.com`));
    const first = others.shift();
    if (!first) throw new Error('no mail');
    const hangs = await gate(t.db, 'select 1 from message where id = $1 for update', [first.id]);
    const settled = ledger.settle(first);
    expect(await becomesTrue(async () => (await files()).length > 0, 20_000)).toBe(true);
    let toCome = others.length;
    // Each end is told while the one before is on its way: no round ends without an end that waits for the next one.
    const busy = (async (): Promise<void> => {
      let before = settled;
      for (const mail of others) {
        const told = ledger.settle(mail);
        await before;
        before = told;
        toCome--;
        await nextTurn();
      }
      await before;
    })();
    await hangs.open();
    const isLeft = async (): Promise<boolean> => (await files()).length === 0;
    expect(await becomesTrue(isLeft, 20_000)).toBe(true);
    expect(toCome).toBeGreaterThan(0);
    await busy;
    await ledger.settled();
    const rows: unknown[] = await t.db.query(`select 1 from message where state <> 'accepted'`);
    expect([rows, await files()]).toEqual([[], []]);
  });
});
