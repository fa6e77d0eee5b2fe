/** More often than anybody changes their mind. Of one before these an imported table is believed. */
const MOST_LEFT = 50;

/**
 * In SQL, of the subscriber `s` whose pause ends before its time or gives way to another one: those that they have left so. An
 * imported table that knows of one is older than that.
 */
export const leavesPause = (now: string): string =>
  `case when s.paused_until > ${now}::timestamptz then (s.paused_until || s.pauses_left)[1:${MOST_LEFT}] else s.pauses_left end`;
