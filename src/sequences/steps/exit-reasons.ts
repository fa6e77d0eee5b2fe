/**
 * `exit_reason` of an enrollment, and `state_reason` of the mails that waited in it, where it was no trigger that ended it:
 * those are called as `triggerText` says. Whoever ends one for another cause names it here, or nobody could be told of it.
 */
export const EXIT = {
  unsubscribed: () => 'unsubscribed',
  topic: () => 'topic opt-out',
  removed: () => 'removed by hand',
  notActive: (status: string) => `subscriber is ${status}`,
  archived: () => 'funnel archived',
  moved: (sequence: string) => `moved to ${sequence}`,
  /** Of a mail alone: its reader is past it. */
  goal: (goal: string) => `goal ${goal} reached`,
  /** Of a mail alone: it offers what its reader has. */
  owns: (product: string) => `already owns ${product}`,
  /** Of a mail alone: its reader is in a version without its step. */
  stepOut: () => 'its step was taken out',
} as const;

export type ExitReason = keyof typeof EXIT;
