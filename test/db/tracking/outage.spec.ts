import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import request from 'supertest';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readConfig } from '../../../config/env.js';
import { createApp } from '../../../src/application.js';
import { openDataSource } from '../../../src/infra/database/migrate.js';
import { freePort } from '../../../src/infra/free-port.js';
import { readHitBatch } from '../../../src/tracking/hit-batch.js';
import { AfterWork } from '../../../src/tracking/after-work.service.js';
import { HitRecorder } from '../../../src/tracking/hit-recorder.service.js';
import { HitSpool } from '../../../src/tracking/hit-spool.service.js';
import { clickToken } from '../../../src/tracking/tracking-token.js';
import { VerdictsService } from '../../../src/tracking/verdicts.service.js';
import { START, type TestApp } from '../../support/app.js';
import { FixedClock } from '../../support/clock.js';
import { DatabaseFront } from '../../support/database-front.js';
import { DurablePostgres } from '../../support/durable-postgres.js';
import { acceptedMail, type Mail, verdicts, visit } from './trail.js';

const SECRET = Buffer.alloc(32, 5);

let cluster: DurablePostgres;
let database: string;
let front: DatabaseFront;
let dataDir: string;
let t: TestApp;
let mail: Mail;

async function startApp(): Promise<TestApp> {
  const url = cluster.url(database, { host: '127.0.0.1', port: front.port });
  const env = readConfig({
    DATA_DIR: dataDir,
    DATABASE_URL: url,
    LOG_LEVEL: 'silent',
    SMTP_URL: 'smtp://127.0.0.1:1',
  });
  const config = { ...env, databaseUrl: url, secretKey: SECRET, smtpUrl: 'smtp://127.0.0.1:1' };
  const [dataSource, clock] = [await openDataSource(url), new FixedClock(START)];
  const app = await createApp({ config, dataSource, clock, logger: pino({ level: 'silent' }) });
  app.useLogger(false);
  return {
    ...{ app, clock, dataSource, http: request(app.getHttpServer()) },
    runDue: async () => undefined,
    mailsTo: async () => [],
    close: async () => {
      await app.close();
      if (dataSource.isInitialized) await dataSource.destroy();
    },
  };
}

beforeAll(async () => {
  cluster = await DurablePostgres.start();
  database = await cluster.createDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'wellspring-outage-'));
  front = await new DatabaseFront(() => cluster.address, await freePort()).open();
  t = await startApp();
  await t.dataSource.query(
    `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
     values ('x', '\\x00', '', 's', 'h', 't', $1)`,
    [START],
  );
}, 120_000);
afterAll(async () => {
  await t.close();
  await front.close();
  await cluster.close();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
}, 60_000);
afterEach(async () => {
  for (const name of await spooled()) await rm(join(dataDir, 'spool', name), { recursive: true });
});

const spooled = async (): Promise<string[]> => {
  const names = await readdir(join(dataDir, 'spool')).catch(() => []);
  return names.filter((name) => name.endsWith('.json'));
};
const recorder = (): HitRecorder => t.app.get(HitRecorder);
const metric = async (name: string): Promise<string | undefined> =>
  (await t.http.get('/metrics')).text.split('\n').find((line) => line.startsWith(name));
/** A new mail whose links are in memory, as they are a second after they were made. */
const knownMail = async (): Promise<Mail> => {
  const made = await acceptedMail(t, { links: 3 });
  t.clock.advance(60_000);
  for (const link of made.links) await t.http.head(link).expect(302);
  await recorder().flush();
  await t.dataSource.query('delete from tracking_event where message_id = $1', [made.id]);
  return made;
};

describe('while the database is away', () => {
  it('pictures come and links lead on; the hits are on disk, and stored once it is back', async () => {
    mail = await knownMail();
    await cluster.crash();
    await visit(t, mail.open);
    // One that was to be stored first comes to disk behind those that came while it was tried.
    await recorder().flush();
    await visit(t, mail.links[0]);
    const personal = clickToken(SECRET, {
      messageId: mail.id,
      linkId: '1',
      url: 'https://example.com/me?x=1',
    });
    const answer = await t.http.get(`/c/${personal}`).expect(302);
    expect(answer.headers.location).toBe('https://example.com/me?x=1');
    await recorder().flush();
    const files = await Promise.all(
      (await spooled()).toSorted().map(async (name) => readFile(join(dataDir, 'spool', name), 'utf8')),
    );
    const kept = files.join('');
    // What had been stored a moment before the crash is there too, to make sure.
    const hits = files.flatMap((file) => {
      const batch = readHitBatch(file);
      return batch?.hits.map(({ source }) => batch.sources[source]) ?? [];
    });
    expect(hits.filter((source) => source?.method === 'GET').map((source) => source?.kind)).toEqual([
      'open',
      'click',
      'click',
    ]);
    expect(kept).not.toContain('127.0.0.1');
    expect(await metric('wellspring_hits_spooled_bytes')).toBe(
      `wellspring_hits_spooled_bytes ${kept.length}`,
    );
    expect(await metric('wellspring_hits_dropped_total{reason="spool_full"}')).toMatch(/ 0$/);

    await cluster.restart();
    await recorder().tick();
    expect(await verdicts(t, mail)).toEqual(['open human', 'click unknown', 'click scanner']);
    expect(await spooled()).toEqual([]);
  }, 60_000);

  it('a link that nobody has pressed yet asks for a moment of patience', async () => {
    const token = clickToken(SECRET, { messageId: mail.id, linkId: '999999', url: null });
    await cluster.crash();
    const answer = await t.http.get(`/c/${token}`).expect(503).expect('retry-after', '60');
    expect(answer.headers.location).toBeUndefined();
    await cluster.restart();
    await t.http.get(`/c/${token}`).expect(404);
  }, 60_000);

  it('a restart of the application loses nothing', async () => {
    mail = await knownMail();
    await cluster.crash();
    for (const link of mail.links) await visit(t, link, { head: true });
    await t.close();
    expect(await spooled()).not.toEqual([]);
    await writeFile(
      join(dataDir, 'spool/hits-000000000000000-000000-00000000-0000-4000-8000-000000000000.json'),
      '{"id":',
    );
    await cluster.restart();
    t = await startApp();
    await recorder().flush();
    expect(await verdicts(t, mail)).toEqual(['click scanner', 'click scanner', 'click scanner']);
    expect(await spooled()).toEqual([]);
    expect((await readdir(join(dataDir, 'spool'))).filter((name) => name.endsWith('.bad'))).toHaveLength(1);
  }, 60_000);
});

describe('hits on disk', () => {
  it('are stored although a file before them can be neither read nor removed', async () => {
    mail = await knownMail();
    const unreadable = 'hits-000000000000000-000000-00000000-0000-4000-8000-000000000001.json';
    await mkdir(join(dataDir, 'spool', unreadable), { recursive: true });
    await recorder().start();
    await cluster.crash();
    await visit(t, mail.open);
    await recorder().flush();
    const stuck = (await spooled()).find((name) => name !== unreadable) ?? '';
    await rm(join(dataDir, 'spool', stuck));
    await mkdir(join(dataDir, 'spool', stuck));
    await visit(t, mail.open);
    await recorder().flush();
    await cluster.restart();
    await recorder().tick();
    expect(await verdicts(t, mail)).toEqual(['open human', 'open human']);
    expect((await spooled()).toSorted()).toEqual([unreadable, stuck]);
    expect(t.app.get(HitSpool).sinceMs).toBe(Infinity);
  }, 60_000);

  it('are as old as the oldest of them, in whatever order they came to disk', async () => {
    const spool = t.app.get(HitSpool);
    for (const atMs of [2_000, 1_000, 3_000]) {
      const hits = [{ source: 0, messageId: '1', linkId: null, atMs }];
      await spool.put({ id: randomUUID(), sources: [], hits });
    }
    expect(spool.sinceMs).toBe(1_000);
    while (spool.files > 0) await spool.removeOldest();
  });

  it('are told to other processes for as long as they are there, and stored without a rest after half a minute', async () => {
    const told = async (): Promise<(number | null)[]> => {
      const rows: { since: number | null }[] = await t.dataSource.query(
        `select (value ->> 'sinceMs')::float8 as since from setting where key = 'tracking.unstored.' || $1`,
        [t.app.get(AfterWork).processId],
      );
      return rows.map(({ since }) => since);
    };
    const tells = async (since: number | null): Promise<void> => {
      // One may be under way by itself.
      await expect.poll(async () => recorder().mark().then(told)).toEqual([since]);
    };
    t.clock.advance(15_000);
    const atMs = t.clock.now().getTime() - 30_001;
    const hits = [{ source: 0, messageId: '1', linkId: null, atMs }];
    await t.app.get(HitSpool).put({ id: randomUUID(), sources: [], hits });
    await tells(atMs);
    const lane = t.app.get(AfterWork);
    lane.arrived(1_000);
    await recorder().flush();
    expect(lane.free).toBe(true);
    await tells(null);
    await visit(t, mail.open);
    await recorder().flush();
    await tells(t.clock.now().getTime() - 1);
    t.clock.advance(15_000);
    await tells(null);
  });

  it('are stored at a steady pace in a rush that lasts: the rests get shorter with the time they have been there', async () => {
    const atMs = t.clock.now().getTime() - 24_000;
    const hits = [{ source: 0, messageId: '1', linkId: null, atMs }];
    await t.app.get(HitSpool).put({ id: randomUUID(), sources: [], hits });
    const lane = t.app.get(AfterWork);
    await recorder().flush();
    // The lane's time from here on; its earlier rests are over by then, and nothing else comes in between.
    let nowMs = performance.now() + 10_000;
    const time = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
    let restMs = 0;
    try {
      lane.arrived(1_000);
      await lane.run(async () => void (nowMs += 100));
      for (; !lane.free && restMs < 1_000; restMs++) nowMs++;
    } finally {
      time.mockRestore();
    }
    // Of 1,900 ms for hits that have just come, a fifth: 24 of 30 seconds have passed.
    expect(restMs).toBeGreaterThanOrEqual(380);
    expect(restMs).toBeLessThanOrEqual(381);
  });
});

describe('a crash of the database', () => {
  it.each([
    ['that is noticed by the next hit', false],
    ['that is noticed when the disk is emptied, as another piece of work was under way', true],
  ])(
    'neither loses nor doubles the hits that were stored a moment before: one %s',
    async (_, isBusy) => {
      mail = await knownMail();
      for (let round = 0; round < 5; round++) {
        for (let hit = 0; hit < 4; hit++) await visit(t, mail.open);
        await recorder().flush();
      }
      await cluster.crash();
      await visit(t, mail.open);
      let leave = (): void => undefined;
      const gate = new Promise<void>((resolve) => (leave = resolve));
      const busy = isBusy ? t.app.get(AfterWork).run(async () => gate) : null;
      const flushed = recorder().flush();
      leave();
      await Promise.all([flushed, busy]);
      await cluster.restart();
      await recorder().tick();
      expect(await verdicts(t, mail)).toHaveLength(21);
    },
    60_000,
  );

  it('stores a batch once, however often it comes, and as an earlier release has kept it', async () => {
    mail = await knownMail();
    await cluster.crash();
    await visit(t, mail.open);
    await recorder().flush();
    const [name = ''] = await spooled();
    const text = await readFile(join(dataDir, 'spool', name), 'utf8');
    await cluster.restart();
    await recorder().tick();
    const { id, sources, hits } = readHitBatch(text) ?? { id: '', sources: [], hits: [] };
    const inFull = hits.map(({ source, ...hit }) => ({ ...hit, ...sources[source] }));
    await writeFile(join(dataDir, 'spool', name), JSON.stringify({ id, hits: inFull }));
    await recorder().start();
    await recorder().flush();
    expect(await verdicts(t, mail)).toEqual(['open human']);
  }, 60_000);

  it('are stored once beside one that PostgreSQL refuses, also when the process dies before their file is removed', async () => {
    mail = await knownMail();
    const source = {
      ...{ kind: 'open', method: 'GET', userAgent: null, purpose: null, hasAcceptLanguage: false },
      ...{ fetchDest: null, network: null, local: false, ipHash: '' },
    };
    const messageIds = [mail.id, '9'.repeat(19), mail.id, mail.id];
    const hits = messageIds.map((messageId, nth) => ({
      ...{ source: 0, messageId, linkId: null, atMs: START.getTime() + nth },
    }));
    const id = randomUUID();
    const stored = async (): Promise<unknown> =>
      t.dataSource.query(`select 1 from tracking_event where message_id = $1 and kind = 'open'`, [mail.id]);
    await mkdir(join(dataDir, 'spool'), { recursive: true });
    // What lay there when the process died lies there at its next start.
    for (let start = 0; start < 2; start++) {
      const name = `hits-000000000001000-000000-${id}.json`;
      await writeFile(join(dataDir, 'spool', name), JSON.stringify({ id, sources: [source], hits }));
      await recorder().start();
      await recorder().tick();
      expect(await stored()).toHaveLength(3);
    }
    expect(await spooled()).toEqual([]);
  }, 60_000);
});

describe('as the process ends', () => {
  const stored = async (): Promise<number> => {
    const [row] = await t.dataSource.query(
      'select count(*)::int as hits from tracking_event where message_id = $1',
      [mail.id],
    );
    return row.hits;
  };

  it('a settling run that hangs on a lock keeps neither the hits from being stored nor the process', async () => {
    mail = await knownMail();
    const holder = t.dataSource.createQueryRunner();
    await holder.startTransaction();
    await holder.query(`select pg_advisory_xact_lock(hashtext('wellspring tracking verdicts'))`);
    let hangs = true;
    const settling = t.app
      .get(VerdictsService)
      .settleDue()
      .finally(() => (hangs = false));
    await visit(t, mail.open);
    await recorder().beforeApplicationShutdown();
    expect([hangs, await stored()]).toEqual([true, 1]);
    await holder.rollbackTransaction();
    await holder.release();
    await settling;
  }, 20_000);

  it('a hit that was answered at the last moment is waited for', async () => {
    await recorder().flush();
    const holder = t.dataSource.createQueryRunner();
    await holder.startTransaction();
    await holder.query('lock table tracking_batch in access exclusive mode');
    const before = await stored();
    await visit(t, mail.open);
    void recorder().flush();
    let ended = false;
    const end = recorder()
      .onApplicationShutdown()
      .then(() => (ended = true));
    await holder.query('select 1');
    expect(ended).toBe(false);
    await holder.rollbackTransaction();
    await holder.release();
    await end;
    expect(await stored()).toBe(before + 1);
  }, 20_000);
});
