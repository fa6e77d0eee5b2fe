import type { BroadcastReport } from '../../broadcasts/broadcast.js';
import { isOfReports } from '../../delivery/guards/sending-health.js';
import { nextState, type BroadcastAction } from '../../broadcasts/broadcast-status.js';
import { lateText } from './broadcast-start-form.js';

interface BroadcastView {
  id: string;
  title: string;
  template: string;
  state: string;
  /** What the state means to the owner: `good`, `warn`, `bad`, `brand`, or nothing to say. */
  tone: string;
  reason: string | null;
  /** Of one that is paused: who gets it later, or not at all, the longer it stands still. */
  late: string | null;
  /** It stands still for what came back of its mails, which is to be looked at first. */
  isStoppedByReports: boolean;
  when: { label: string; at: Date } | null;
  /** Mails written so far. */
  total: number;
  /** Mails whose fate is known. */
  settled: number;
  figures: { label: string; count: number }[];
  actions: { name: BroadcastAction; label: string; style: string }[];
}

const TONES: Readonly<Record<string, string>> = {
  done: 'good',
  paused: 'warn',
  planning: 'brand',
  running: 'brand',
  scheduled: 'brand',
};

const FIGURES: readonly (readonly [label: string, states: readonly string[]])[] = [
  ['Sent', ['accepted']],
  ['Waiting', ['ready', 'held']],
  ['On the way', ['leased', 'in_data']],
  ['Refused', ['rejected']],
  ['Not certain', ['unknown']],
  ['Held back', ['suppressed']],
  ['Held out', ['held_out']],
  ['Too late', ['expired']],
  ['Cancelled', ['cancelled']],
];
const OPEN: ReadonlySet<string> = new Set(['ready', 'held', 'leased', 'in_data']);

const ACTIONS: readonly BroadcastView['actions'][number][] = [
  { name: 'pause', label: 'Pause', style: 'button-quiet' },
  { name: 'resume', label: 'Go on', style: '' },
  { name: 'cancel', label: 'Cancel', style: 'button-quiet' },
];

/** What the owner's page shows of a broadcast. Sent and waiting always, the others when there is any. */
export function broadcastView(report: BroadcastReport): BroadcastView {
  const { id, title, template, state, stateReason, counts } = report;
  const sum = (states: readonly string[]): number =>
    states.reduce((total, one) => total + (counts[one] ?? 0), 0);
  const figures = FIGURES.map(([label, states]) => ({ label, count: sum(states) }));
  const all = Object.keys(counts);
  return {
    ...{ id, title, template, state },
    tone: TONES[state] ?? '',
    reason: stateReason,
    late: state === 'paused' ? lateText(report) : null,
    isStoppedByReports: state === 'paused' && stateReason !== null && isOfReports(stateReason),
    when: whenOf(report),
    total: sum(all),
    settled: sum(all.filter((one) => !OPEN.has(one))),
    figures: figures.filter(({ count }, place) => count > 0 || (place < 2 && state !== 'draft')),
    actions: ACTIONS.filter(({ name }) => nextState(report, name) !== null),
  };
}

function whenOf({ endedAt, startedAt, scheduledAt, state }: BroadcastReport): BroadcastView['when'] {
  if (endedAt !== null) return { label: state === 'done' ? 'Done' : 'Ended', at: endedAt };
  if (startedAt !== null) return { label: 'Began', at: startedAt };
  return scheduledAt === null ? null : { label: 'Begins', at: scheduledAt };
}
