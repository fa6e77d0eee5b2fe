import type { Happening } from './timeline.js';
import type { VirtualEnrollment, VirtualRecord } from './virtual-record.js';
import type { VirtualFunnels } from './virtual-sequences.js';

/** One person on their way through the funnels. */
export interface VirtualRun {
  readonly funnels: VirtualFunnels;
  readonly record: VirtualRecord;
  /** Where each enrollment was last said to wait: looking again without effect is nothing to tell. */
  readonly toldWaits: Map<string, string>;
  /** Keys of the broadcasts that the owner has paused; none when left out. */
  readonly pausedBroadcasts?: ReadonlySet<string>;
  tell(this: void, at: Date, happening: Happening): void;
  /** Answers for events, where somebody else than the record knows; false when it is left out. */
  decide?(this: void, enrollment: VirtualEnrollment, event: string): boolean;
}

/** Says where the enrollment waits, when that is new and in the future. */
export function tellWait(
  run: VirtualRun,
  { id, sequence, occurrence, stepKey, nextAt, watches }: VirtualEnrollment,
  now: Date,
): void {
  if (stepKey === null || nextAt === null || nextAt <= now) return;
  const until = nextAt.toISOString();
  const wait = `${stepKey} ${until}`;
  if (run.toldWaits.get(id) === wait) return;
  run.toldWaits.set(id, wait);
  run.tell(now, { what: 'waits', sequence, occurrence, step: stepKey, until, watches: watches ?? [] });
}
