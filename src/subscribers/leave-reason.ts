/** Why somebody left, in the words of the page after leaving. Asked for, never required. */
export const LEAVE_REASONS = ['too_many', 'not_useful', 'not_asked', 'bought', 'other'] as const;
export type LeaveReason = (typeof LEAVE_REASONS)[number];

export const MAX_COMMENT_CHARS = 500;
