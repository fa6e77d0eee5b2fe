import { describe, expect, it } from 'vitest';
import { judge, type Evidence, type LedgerRow } from '../../fault/oracle.js';

const row = (n: number, change: Partial<LedgerRow> = {}): LedgerRow => ({
  messageId: `<${n}@example.com>`,
  address: `reader-${n}@example.net`,
  class: 'marketing',
  state: 'accepted',
  unknownCount: 0,
  ...change,
});

function evidence(change: Partial<Evidence> = {}): Evidence {
  return {
    rows: [row(1), row(2)],
    taken: new Map([
      ['<1@example.com>', 1],
      ['<2@example.com>', 1],
    ]),
    recipients: new Map([['<1@example.com>', 'reader-1@example.net']]),
    unknownBound: 0,
    planned: 2,
    ...change,
  };
}

const violations = (change: Partial<Evidence>): string[] => judge(evidence(change)).violations;

describe('the oracle of the fault runs', () => {
  it('finds nothing wrong where each mail was taken once and is accepted', () => {
    expect(judge(evidence())).toMatchObject({ violations: [], taken: 2, duplicates: 0, lost: 0 });
  });

  it('sees a mail that was taken twice', () => {
    expect(
      violations({
        taken: new Map([
          ['<1@example.com>', 2],
          ['<2@example.com>', 1],
        ]),
      }),
    ).toEqual(['1 taken twice']);
  });

  it('allows a second time only for a transactional mail that was unclear once', () => {
    const taken = new Map([['<1@example.com>', 2]]);
    const once = (change: Partial<LedgerRow>): string[] =>
      violations({ rows: [row(1, change)], taken, planned: 1, unknownBound: 1 });
    expect(once({ class: 'transactional', unknownCount: 1 })).toEqual([]);
    expect(once({ class: 'transactional' })).toEqual(['1 taken twice']);
    expect(once({ unknownCount: 1 })).toEqual(['1 taken twice']);
    taken.set('<1@example.com>', 3);
    expect(once({ class: 'transactional', unknownCount: 1 })).toEqual(['1 taken twice']);
  });

  it('sees a mail that is called accepted and never arrived', () => {
    expect(violations({ taken: new Map([['<1@example.com>', 1]]) })).toEqual(['1 accepted but never taken']);
  });

  it('sees a mail that arrived and is called something else', () => {
    expect(violations({ rows: [row(1), row(2, { state: 'rejected' })] })).toEqual([
      '1 taken, but neither accepted nor unknown',
    ]);
    expect(violations({ rows: [row(1), row(2, { state: 'unknown' })], unknownBound: 1 })).toEqual([]);
  });

  it.each(['rejected', 'expired', 'suppressed', 'cancelled', 'held'])(
    'sees that a mail called %s was taken',
    (state) => {
      expect(violations({ rows: [row(1), row(2, { state })] })).toContain(
        '1 taken, but neither accepted nor unknown',
      );
    },
  );

  it('counts as unknown also what was sent once more, and what has since been shown to have arrived', () => {
    const rows = [row(1, { class: 'transactional', unknownCount: 1 }), row(2, { unknownCount: 1 })];
    expect(violations({ rows, unknownBound: 1 })).toEqual(['2 unknown, 1 allowed']);
    const taken = new Map([
      ['<1@example.com>', 2],
      ['<2@example.com>', 1],
    ]);
    expect(judge(evidence({ rows, taken, unknownBound: 2 }))).toMatchObject({
      violations: [],
      again: 1,
      unclear: 2,
    });
  });

  it('sees more unknown mails than crashes explain, open rows, lost rows and wrong addresses', () => {
    const one = new Map([['<1@example.com>', 1]]);
    expect(violations({ rows: [row(1), row(2, { state: 'unknown' })], taken: one })).toEqual([
      '1 unknown, 0 allowed',
    ]);
    expect(violations({ rows: [row(1), row(2, { state: 'ready' })], taken: one })).toEqual([
      '1 in no final state',
      '1 rows for 2 planned mails',
    ]);
    expect(violations({ rows: [row(1)], taken: one })).toEqual(['1 rows for 2 planned mails']);
    expect(violations({ recipients: new Map([['<1@example.com>', 'reader-2@example.net']]) })).toEqual([
      '1 to the wrong address',
    ]);
    expect(violations({ rows: [row(1)], planned: 1 })).toEqual(['1 taken that were never planned']);
  });

  it('sees a mail that stands in two rows, and rows that nobody planned', () => {
    expect(violations({ rows: [row(1), row(2), row(2)], planned: 3 })).toEqual([
      '3 rows for 3 planned mails',
    ]);
    expect(violations({ planned: 1 })).toEqual(['2 rows for 1 planned mails']);
  });

  it('believes a ledger that was set back to have forgotten what was taken, and nothing else', () => {
    const rows = [row(1), row(2, { state: 'cancelled' })];
    expect(violations({ rows, setBack: true })).toEqual([]);
    expect(violations({ rows, setBack: true, taken: new Map([['<2@example.com>', 2]]) })).toEqual([
      '1 taken twice',
      '1 accepted but never taken',
    ]);
  });
});
