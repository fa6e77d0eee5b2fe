import type { HitRange, HitsStanding } from '../../tracking/hits-standing.js';

/** Hits are stored a little out of order: so many of the latest are looked at again, which costs a few milliseconds. */
export const HITS_LOOKED_AT_AGAIN = 5_000;

/** What a look at late hits leaves for the next one, also after a restart. */
export interface LookMark {
  /** Hits above it are looked at next. */
  hit: string;
  /** The newest at the last look. */
  newest: string;
  judged: HitsStanding['judged'];
  /** What was listened for, by whoever looks; null where they listen for the same always. */
  known: string | null;
}

/** So many of the newest are looked at by an installation that has no mark yet. */
const FIRST_LOOK = 200_000n;

/** For the first look of an installation. */
export function firstMark({ newest, judged }: HitsStanding): LookMark {
  const from = BigInt(newest) - FIRST_LOOK;
  return { hit: from > 0n ? String(from) : '0', newest, judged, known: null };
}

/**
 * The hits that a look is about: all since the last look but one, those that waited for their verdict then, and those that
 * were judged anew since by other rules.
 */
export function rangesOf({ hit, judged }: LookMark, standing: HitsStanding): HitRange[] {
  const ranges: HitRange[] = [{ after: hit, upTo: standing.newest, onlyJudgedAnew: false }];
  const now = standing.judged;
  if (now === null) return ranges;
  const goesOn =
    judged !== null &&
    judged.ruleVersion === now.ruleVersion &&
    BigInt(judged.afterId) <= BigInt(now.afterId);
  ranges.push({ after: goesOn ? judged.afterId : '0', upTo: now.afterId, onlyJudgedAnew: true });
  return ranges;
}

/** When that look is over. A hit is looked at by two, minutes apart, and once more after its verdict has come. */
export function markAfter({ newest }: LookMark, standing: HitsStanding, known: string | null): LookMark {
  const { waiting } = standing;
  const oldest = waiting === null ? null : BigInt(waiting) - 1n;
  return {
    hit: oldest !== null && oldest < BigInt(newest) ? String(oldest) : newest,
    newest: standing.newest,
    judged: standing.judged,
    known,
  };
}
