/**
 * The life of a broadcast. `scheduled` waits for its hour, `planning` writes a mail for each recipient while the first
 * ones are already sent, `running` has all of them written, `done` has none of them open.
 */
export const BROADCAST_STATES = [
  'draft',
  'scheduled',
  'planning',
  'running',
  'paused',
  'done',
  'cancelled',
] as const;
export type BroadcastState = (typeof BROADCAST_STATES)[number];

/** What the owner asks for (start, pause, resume, cancel), and what the work itself reports. */
export type BroadcastAction =
  'start' | 'begin' | 'planned' | 'pause' | 'resume' | 'cancel' | 'complete' | 'reopen';

export interface BroadcastProgress {
  state: BroadcastState;
  /** When planning began, and the audience was frozen. */
  startedAt: Date | null;
  /** When the last recipient had their mail written. */
  plannedAt: Date | null;
}

const ALLOWED: Readonly<Record<BroadcastState, Partial<Record<BroadcastAction, BroadcastState>>>> = {
  draft: { start: 'scheduled', cancel: 'cancelled' },
  scheduled: { begin: 'planning', pause: 'paused', cancel: 'cancelled' },
  planning: { planned: 'running', pause: 'paused', cancel: 'cancelled' },
  running: { pause: 'paused', complete: 'done', cancel: 'cancelled' },
  paused: { cancel: 'cancelled' },
  // An unknown mail that the owner sends again is open once more.
  done: { reopen: 'running' },
  cancelled: {},
};

/** The state after `action`, or null when it does not fit. A pause ends where it began. */
export function nextState(
  { state, startedAt, plannedAt }: BroadcastProgress,
  action: BroadcastAction,
): BroadcastState | null {
  if (state === 'paused' && action === 'resume') {
    if (startedAt === null) return 'scheduled';
    return plannedAt === null ? 'planning' : 'running';
  }
  return ALLOWED[state][action] ?? null;
}

/** Whether `action` was asked for before and is under way or done: a second click changes nothing and is no mistake. */
export function isRepeated({ state }: Pick<BroadcastProgress, 'state'>, action: BroadcastAction): boolean {
  const after: Partial<Record<BroadcastAction, readonly BroadcastState[]>> = {
    start: ['scheduled', 'planning', 'running', 'done'],
    pause: ['paused'],
    resume: ['scheduled', 'planning', 'running'],
    cancel: ['cancelled'],
  };
  return after[action]?.includes(state) ?? false;
}
