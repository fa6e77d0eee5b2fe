/**
 * Blocks of 64 ids that nobody is in, before the block `at`. A restored backup lets numbers go on far above, see
 * `delivery/generation`: a bit for each number in between would take terabytes.
 */
export interface IdGap {
  after: number;
  at: number;
}

/** First and last block of people whose ids follow each other closely, in order. */
export interface IdPiece {
  first: number;
  last: number;
}

/** Ids that one piece spans at most. */
export const PIECE_IDS = 2 ** 24;
/** Half a megabyte of bits. */
const WORTH_BLOCKS = 2 ** 16;
/** A million who sign up while they are counted, or are gone and named by hits still. */
const SLACK_BLOCKS = 2 ** 14;

export function gapsBetween(pieces: readonly IdPiece[]): IdGap[] {
  const gaps: IdGap[] = [];
  let after = 0;
  for (const { first, last } of pieces) {
    if (first - after > WORTH_BLOCKS) gaps.push({ after, at: first });
    after = last + 1 + SLACK_BLOCKS;
  }
  return gaps;
}

/** In SQL: the place of a block where the gaps are left out; of one in a gap, that of the block behind it. */
export function placeOfBlock(block: string, gaps: readonly IdGap[]): string {
  const [first] = gaps;
  if (first === undefined) return block;
  const parts = gaps.map(({ at }, index) => {
    const end = gaps[index + 1];
    return `greatest(${end === undefined ? block : `least(${block}, ${end.after})`} - ${at}, 0)`;
  });
  return `(${[`least(${block}, ${first.after})`, ...parts].join(' + ')})`;
}

/** In SQL: whether a block is in none of the gaps. */
export function outsideGaps(block: string, gaps: readonly IdGap[]): string {
  return gaps.map(({ after, at }) => `not (${block} >= ${after} and ${block} < ${at})`).join(' and ');
}
