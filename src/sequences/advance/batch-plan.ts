import { emptyBatch, type MailBatch } from '../../delivery/message/mail-batch.js';
import type { NewAssignment } from '../../experiments/experiment-terms.js';
import type { Money } from '../../values/money.js';
import type { FieldValue } from '../steps/condition.js';
import type { CameAt } from '../steps/progress.js';

/** Where an enrollment stands after its step; many share one. */
export interface NextState {
  status: 'active' | 'completed' | 'exited';
  exitReason: string | null;
  stepKey: string | null;
  /** Null while active: at the deadline that is there already. */
  nextAt: Date | null;
  /** When the wait for something to happen is over. `keepsDeadline`: as it was. */
  waitUntil: Date | null;
  keepsDeadline: boolean;
  /** As `Progress` has it. */
  cameAt: CameAt;
  /** What was due waits for its next opening; when it was due at first is kept. */
  isPutOff: boolean;
  /** As `Progress` has it. */
  hoursOf: string | null;
  watches: string[] | null;
}

/** What came of a step that is no mail, or whose mail was passed over. */
export interface Decision {
  enrollmentId: string;
  stepKey: string;
  outcome: string;
}

export interface Grant {
  enrollmentId: string;
  subscriberId: string;
  offerSlug: string;
  /** What it sells; null where that is not known. */
  productId: string | null;
  expiresAt: Date | null;
  price: Money;
}

/** One change to one person by a step of the enrollment, in the order of the steps. */
export type SubscriberChange = { subscriberId: string; enrollmentId: string } & (
  | { kind: 'tag' | 'untag'; tags: readonly string[] }
  | { kind: 'set'; fields: Readonly<Record<string, FieldValue | null>> }
);

/** Somebody moves on to another sequence. */
export interface Entry {
  sequenceKey: string;
  subscriberId: string;
  /** JSON. */
  data: string;
}

interface PlannedHook {
  enrollmentId: string;
  stepKey: string;
  url: string;
}

interface PlannedNotice {
  enrollmentId: string;
  stepKey: string;
  text: string;
}

/** All that a batch of due enrollments comes to. */
export interface BatchPlan {
  mail: MailBatch;
  states: NextState[];
  /** By column: enrollments, and of each the place of its state in `states`. */
  moves: { ids: string[]; states: number[] };
  decisions: Decision[];
  grants: Grant[];
  changes: SubscriberChange[];
  entries: Entry[];
  hooks: PlannedHook[];
  notices: PlannedNotice[];
  assignments: NewAssignment[];
  /** Enrollments of people who want a pause. */
  paused: string[];
  /** Those of a sequence whose mails are paused. */
  stopped: string[];
  /** Those whose next step cannot be worked out, by the reason: they must not hold up everybody behind them. */
  stuck: { ids: string[]; stepKey: string; reason: string }[];
}

export function emptyPlan(): BatchPlan {
  return {
    mail: emptyBatch(),
    states: [],
    moves: { ids: [], states: [] },
    decisions: [],
    grants: [],
    changes: [],
    entries: [],
    hooks: [],
    notices: [],
    assignments: [],
    paused: [],
    stopped: [],
    stuck: [],
  };
}

/** Everybody whose own row the batch writes or refers to. */
export function touchedSubscribers({ changes, entries }: BatchPlan): string[] {
  return [...new Set([...changes, ...entries].map(({ subscriberId }) => subscriberId))];
}
