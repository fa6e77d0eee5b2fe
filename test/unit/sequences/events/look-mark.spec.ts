import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstMark, markAfter, rangesOf, type LookMark } from '../../../../src/sequences/events/look-mark.js';
import type { HitsStanding } from '../../../../src/tracking/hits-standing.js';

const standing = (newest: number, more: Partial<HitsStanding> = {}): HitsStanding => ({
  ...{ newest: String(newest), waiting: null, judged: null },
  ...more,
});
const judged = (afterId: number, ruleVersion = 1): Partial<HitsStanding> => ({
  judged: { ruleVersion, afterId: String(afterId) },
});

describe('a look at late hits', () => {
  it('costs by what has come since the last but one, whoever waits and whatever is there', () => {
    let mark = firstMark(standing(5_000_000));
    expect(mark.hit).toBe('4800000');
    for (const newest of [5_000_100, 5_000_250, 5_000_250, 5_000_250])
      mark = markAfter(mark, standing(newest), null);
    expect(rangesOf(mark, standing(5_000_300))).toEqual([
      { after: '5000250', upTo: '5000300', onlyJudgedAnew: false },
    ]);
  });

  it('begins at the first hit again for those that other rules have judged anew', () => {
    const mark: LookMark = { hit: '90', newest: '100', known: null, ...judged(80) } as LookMark;
    const anew = (more: Partial<HitsStanding>): unknown => rangesOf(mark, standing(100, more))[1];
    expect(anew(judged(95))).toEqual({ after: '80', upTo: '95', onlyJudgedAnew: true });
    expect(anew(judged(20, 2))).toEqual({ after: '0', upTo: '20', onlyJudgedAnew: true });
    expect(anew(judged(20))).toEqual({ after: '0', upTo: '20', onlyJudgedAnew: true });
  });

  it('is about each hit at least twice, and once more after its verdict has come', () => {
    const steps = fc.array(fc.record({ come: fc.nat(30), waits: fc.nat(40) }), { minLength: 4 });
    fc.assert(
      fc.property(steps, (looks) => {
        let [mark, newest] = [firstMark(standing(0)), 0];
        const seen = new Map<number, number>();
        const waiting = new Set<number>();
        for (const { come, waits } of looks) {
          for (let id = newest + 1; id <= newest + come; id++) waiting.add(id);
          newest += come;
          const oldest = Math.max(1, newest - waits + 1);
          for (const id of waiting) if (id < oldest) waiting.delete(id);
          const first = waiting.size === 0 ? null : String(Math.min(...waiting));
          const now = standing(newest, { waiting: first });
          const [range] = rangesOf(mark, now);
          for (let id = Number(range?.after) + 1; id <= newest; id++)
            if (!waiting.has(id)) seen.set(id, (seen.get(id) ?? 0) + 1);
          mark = markAfter(mark, now, null);
        }
        // Whatever is not looked at yet is so next time.
        const [next] = rangesOf(mark, standing(newest));
        for (let id = 1; id <= Number(next?.after); id++) expect(seen.get(id) ?? 0).toBeGreaterThan(0);
      }),
    );
  });
});
