import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { hitsStanding, countedHits } from '../../tracking/hits-standing.queries.js';
import { firstMark, markAfter, rangesOf, type LookMark } from './look-mark.js';

const EVERY_MS = 600_000;
/** Each page is looked at in a statement. */
const PAGE = 10_000;

/** Who looks: each has a mark of their own. */
type Looker = 'waits' | 'exits' | 'entries';

interface Look {
  /** The mark that the last look left. */
  known: string | null;
  /** Tells of the hits, a page at a time. */
  pages(this: void): AsyncIterable<string[]>;
  /** To be called when all have been looked at. */
  done(this: void, known: string | null): Promise<void>;
}

interface KeptMark {
  mark: LookMark;
  /** Of the look that last moved it. */
  at: Date;
}

/**
 * Hits that a look at the newest may have missed: they were stored out of order, whoever they concern was being moved on
 * at that moment, their verdict came later, or nothing ran. Every ten minutes and at a start all since the last look but
 * one are looked at: that costs by what has come since, however many people wait. How far a look came is kept in `setting`.
 */
@Injectable()
export class LateHitsService {
  readonly #lookedAtMs = new Map<Looker, number>();

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Null: it is not yet time for another look. */
  async look(looker: Looker): Promise<Look | null> {
    const now = this.clock.now().getTime();
    const last = this.#lookedAtMs.get(looker);
    if (last !== undefined && Math.abs(now - last) <= EVERY_MS) return null;
    const { manager } = this.dataSource;
    const standing = await hitsStanding(manager);
    const kept = await this.mark(looker);
    // A mark of hits that are gone says nothing.
    const isOf = kept !== null && BigInt(kept.mark.newest) <= BigInt(standing.newest);
    const mark = isOf ? kept.mark : { ...firstMark(standing), known: kept?.mark.known ?? null };
    // Another worker has just looked, or this one before its restart: the two looks at a hit are to be minutes apart.
    const isFresh = isOf && Math.abs(now - kept.at.getTime()) <= EVERY_MS;
    const ranges = rangesOf(mark, standing);
    return {
      known: mark.known,
      pages: async function* () {
        for (let after = '0'; ;) {
          const page = await countedHits(manager, ranges, { after, limit: PAGE });
          if (page.length > 0) yield page;
          after = page.at(-1) ?? after;
          if (page.length < PAGE) return;
        }
      },
      done: async (known) => {
        const next = isFresh ? { ...mark, known } : markAfter(mark, standing, known);
        await this.keep(looker, { mark: next, at: isFresh ? kept.at : new Date(now) }, mark.known);
        this.#lookedAtMs.set(looker, now);
      },
    };
  }

  private async mark(looker: Looker): Promise<KeptMark | null> {
    const rows: KeptMark[] = await this.dataSource.query(
      'select value as mark, updated_at as at from setting where key = $1',
      [keyOf(looker)],
    );
    return rows[0] ?? null;
  }

  /**
   * Of two workers the one that ends last leaves its mark; each has looked at everything before its own. What is known stays
   * as another has made it meanwhile: see `forgetKnown`.
   */
  private async keep(looker: Looker, { mark, at }: KeptMark, knownBefore: string | null): Promise<void> {
    await this.dataSource.query(
      `insert into setting as s (key, value, updated_at) values ($1, $2, $3)
       on conflict (key) do update set updated_at = excluded.updated_at,
         value = case when s.value ->> 'known' is not distinct from $4 then excluded.value
           else excluded.value || jsonb_build_object('known', s.value ->> 'known') end`,
      [keyOf(looker), JSON.stringify(mark), at, knownBefore],
    );
  }
}

/** People have come to a version of a sequence from another: it counts as new, and what they did before is looked at. */
export async function forgetKnown(manager: EntityManager, versionId: string): Promise<void> {
  await manager.query(
    `update setting set value = value || jsonb_build_object('known', ($2::bigint - 1)::text)
     where key = $1 and (value ->> 'known')::bigint >= $2::bigint`,
    [keyOf('exits'), versionId],
  );
}

function keyOf(looker: Looker): string {
  return `sequences.hits-seen.${looker}`;
}
