import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { Wake } from '../infra/jobs/wake.js';
import { SETTLE_MS, WAITING } from './burst.js';
import { holdSeen } from './forget.queries.js';
import type { HitBatch, HitSource } from './hit-batch.js';
import {
  classifyHit,
  FASTEST_READER_MS,
  HIT_RULE_VERSION,
  type HitVerdict,
  mayBeBurst,
} from './hit-class.js';
import { insertHits, type JudgedSource, markUnstored, storedBatches } from './hits.queries.js';
import { SettleTimer } from './settle-timer.service.js';

/** A statement of a thousand rows takes some 20 ms. One that takes this long is as good as an outage. */
const STORE_WITHIN_MS = 5_000;
/** PostgreSQL, appendix A: the server or the connection is at fault, not the rows. */
const AWAY = /^(?:08|53|57P|58|XX|25006|40|55P03)/;

export type Stored =
  | { outcome: 'stored' }
  /** The database is not there, or too slow: the same batch may be tried again, also when it was stored after all. */
  | { outcome: 'away' }
  /** These rows cannot be stored, however often they are tried. */
  | { outcome: 'refused'; reason: string };

/** Judges hits and stores them, a batch at a time. Never rejects. */
@Injectable()
export class HitStore {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wake: Wake,
    private readonly settleTimer: SettleTimer,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async store(batch: HitBatch): Promise<Stored> {
    try {
      return await soon(this.insert(batch));
    } catch (error) {
      return failed(error);
    }
  }

  /** Those of the batches that a crash of PostgreSQL has undone; null when it cannot say. */
  async missing(ids: readonly string[]): Promise<Set<string> | null> {
    try {
      const stored = await soon(storedBatches(this.dataSource.manager, ids));
      return new Set(ids.filter((id) => !stored.has(id)));
    } catch {
      return null;
    }
  }

  /** Says to other processes since when hits of this one may not be stored, null: it has had none lately. False when it could not. */
  async mark(processId: string, sinceMs: number | null): Promise<boolean> {
    try {
      await soon(markUnstored(this.dataSource.manager, { processId, sinceMs, now: this.clock.now() }));
      return true;
    } catch {
      return false;
    }
  }

  private async insert({ id, sources, hits }: HitBatch): Promise<Stored> {
    const db = this.dataSource.manager;
    const judged = sources.map(judge);
    const rules = { ruleVersion: HIT_RULE_VERSION, fastestMs: FASTEST_READER_MS, settleMs: SETTLE_MS };
    await this.dataSource.transaction(async (manager) => {
      await holdSeen(manager);
      await insertHits(manager, { id, sources: judged, hits, ...rules, now: this.clock.now() });
    });
    const certain = judged.some(({ kind, usual }) => kind === 'click' && usual.class === 'human');
    if (certain) await this.wake.notify(db, 'sequences.advance-due').catch(() => undefined);
    if (judged.some(({ usual }) => usual.waits)) this.settleTimer.arm();
    return { outcome: 'stored' };
  }
}

/** Nothing but the time since the mail went out differs between hits of one client, and the database knows that. */
function judge(source: HitSource): JudgedSource {
  const at = new Date(0);
  return {
    ...source,
    usual: verdictOn(source, classifyHit({ ...source, at, acceptedAt: null })),
    tooFast: verdictOn(source, classifyHit({ ...source, at, acceptedAt: at })),
  };
}

/** A click that looks like a person's is not counted as one before the rest of a burst would have come. */
function verdictOn(source: HitSource, verdict: HitVerdict): JudgedSource['usual'] {
  const waits = verdict.class === 'human' && mayBeBurst(source);
  return { ...(waits && !source.local ? WAITING : verdict), waits };
}

async function soon<T>(work: Promise<T>): Promise<T> {
  const giveUp = new AbortController();
  const late = delay(STORE_WITHIN_MS, undefined, { signal: giveUp.signal, ref: false });
  late.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([
      work,
      late.then(() => {
        throw new Error(`no answer within ${STORE_WITHIN_MS} ms`);
      }),
    ]);
  } finally {
    giveUp.abort();
  }
}

function sqlState(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** Errors without a code of SQL come from the connection. */
function failed(error: unknown): Stored {
  const state = sqlState(error);
  if (state === null || !/^[0-9A-Z]{5}$/.test(state) || AWAY.test(state)) return { outcome: 'away' };
  return { outcome: 'refused', reason: state };
}
