/** How far hits have come, and their verdicts. */
export interface HitsStanding {
  /** Id of the newest; '0' when there is none. */
  newest: string;
  /** Id of the oldest whose verdict is still to come; null when there is none. */
  waiting: string | null;
  /** How far the present rules have judged the hits of earlier ones anew; null: never. */
  judged: { ruleVersion: number; afterId: string } | null;
}

/** Hits above `after` up to `upTo`, or only those of them that were given another verdict. */
export interface HitRange {
  after: string;
  upTo: string;
  onlyJudgedAnew: boolean;
}
