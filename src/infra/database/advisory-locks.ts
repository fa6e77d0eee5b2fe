/**
 * The advisory locks of this database, in one place so that no two are the same. Any constants; that of field blocks stands in a
 * migration's trigger as well, and processes of the version before this one hold them, so none is ever given to another.
 */
export const LOCKS = {
  /** Processes that start together migrate one after the other. */
  migration: 7_311_402_615,
  /** Two who renewed the same blocks would wait for each other's rows. Taken by a trigger, too, where a field is defined. */
  fieldBlocks: 7_311_402_616,
  /** Shared by each batch of a broadcast, exclusive to an erasure. */
  planning: 7_311_402_617,
  /** Claims under a frequency cap come one after the other. */
  frequencyCap: 7_311_402_619,
  /** See `holdFunnels`. */
  funnels: 7_311_402_620,
  /** Shared by whoever writes down what somebody was seen to do, exclusive to whoever takes the consent to that back. */
  seen: 7_311_402_621,
} as const;
