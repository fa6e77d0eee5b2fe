/** In place of an arm's key: the person gets nothing here. No arm may be called so. */
export const HOLDOUT = 'holdout';

/**
 * `state_reason` of a mail of a broadcast that is written and never sent, because its reader is held out of the split test.
 * The row keeps the holdout as it was drawn. It stands here because segments ask for it.
 */
export const HELD_OUT = 'held out of the split test';
