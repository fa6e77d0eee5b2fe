import type { BatchMail, SharedMail } from '../delivery/mail-batch.js';
import type { Sender } from '../delivery/message.js';
import type { Assignment } from '../experiments/experiment-terms.js';
import { timeZoneOr } from '../values/zoned-time.js';
import { emptyPlan, type BatchPlan, type NextState } from './batch-plan.js';
import { armKey, dateNeed, needKey, type Need, type PreparedSequence } from './prepared.js';
import { advance, type Facts, type Progress, type Sent } from './progress.js';

export interface DueEnrollment {
  id: string;
  versionId: string;
  stepKey: string;
  /** When the step was due, in epoch milliseconds; where it was too late for its hours, their opening. */
  nextAtMs: number;
  /** When the wait for something to happen is over; null when the step only waits for its time. */
  waitUntilMs: number | null;
  /** JSON as the database wrote it: most people of a funnel have the same, which is then read once. */
  data: string;
  /** JSON of the steps that do not come again; null for nearly everybody. */
  had: string | null;
  subscriberId: string;
  email: string;
  emailKey: string;
  status: string;
  timeZone: string | null;
}

/** The version of a sequence, with what its mails are sent as. */
export interface RunningVersion {
  sequence: PreparedSequence;
  funnelKey: string;
  sender: Sender;
}

/** What is known about the people of a batch, by enrollment and `needKey`: a yes or no, what a field holds, or their place in a test. */
export type Answers = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

/** What people at the same step, in the same zone, with the same answers and delay have in common. */
interface Peers {
  mailsDueAt: Date;
  state: number;
  progress: Progress | null;
  version: RunningVersion | null;
  /** Per text of `data`, the places of the shared mails of `progress.sent`. */
  sharedByData: Map<string, number[]>;
  stuckIds: string[];
}

interface Batch {
  plan: BatchPlan;
  versions: ReadonlyMap<string, RunningVersion>;
  answers: Answers;
  now: Date;
}

/**
 * Works out what is next for each. People at one step with one clock and the same answers have the same next step, so it
 * is found once for all of them; what is left per person is a few identifiers.
 */
export function planBatch(
  due: readonly DueEnrollment[],
  versions: ReadonlyMap<string, RunningVersion>,
  answers: Answers,
  now: Date,
): BatchPlan {
  const batch: Batch = { plan: emptyPlan(), versions, answers, now };
  const known = new Map<string, Peers>();
  for (const row of due) {
    const mailsDueAt = mailsDue(row.nextAtMs, now);
    const wait = waitOf(row, now);
    const key =
      row.status === 'active'
        ? `${row.versionId} ${row.stepKey} ${row.timeZone ?? ''} ${wait} ${mailsDueAt.getTime()}${answersText(row, batch)}${row.had ?? ''}`
        : row.status;
    let peers = known.get(key);
    if (peers === undefined) known.set(key, (peers = peersOf(row, batch, { mailsDueAt, wait })));
    addPerson(batch.plan, row, peers);
  }
  return batch.plan;
}

/** What has to be looked up before the batch can be planned. */
export function needsOf(
  due: readonly DueEnrollment[],
  versions: ReadonlyMap<string, RunningVersion>,
): { row: DueEnrollment; need: Need }[] {
  return due.flatMap((row) => {
    if (row.status !== 'active') return [];
    const needs = versions.get(row.versionId)?.sequence.needs.get(row.stepKey) ?? [];
    return needs.map((need) => ({ row, need }));
  });
}

const HOUR_MS = 3_600_000;

/**
 * Now, unless the step is over an hour late, as after an outage: then the mail is as late as its step, to the hour, so
 * that the rule for overdue mail sees it. A step that was put off to an opening is as late as that, which is also the
 * rule for a mail that is put back.
 */
function mailsDue(nextAtMs: number, now: Date): Date {
  if (now.getTime() - nextAtMs <= HOUR_MS) return now;
  return new Date(Math.ceil(nextAtMs / HOUR_MS) * HOUR_MS);
}

function waitOf({ waitUntilMs }: DueEnrollment, now: Date): Facts['wait'] {
  if (waitUntilMs === null) return 'new';
  return waitUntilMs <= now.getTime() ? 'over' : 'pending';
}

/** Empty for nearly all steps: nothing is asked there. */
function answersText(row: DueEnrollment, { versions, answers }: Batch): string {
  const needs = versions.get(row.versionId)?.sequence.needs.get(row.stepKey);
  if (needs === undefined || needs.length === 0) return '';
  const own = answers.get(row.id);
  return ` ${JSON.stringify(needs.map((need) => own?.get(needKey(need)) ?? false))}`;
}

function peersOf(
  row: DueEnrollment,
  { plan, versions, answers, now }: Batch,
  { mailsDueAt, wait }: { mailsDueAt: Date; wait: Facts['wait'] },
): Peers {
  const peers: Peers = {
    mailsDueAt,
    state: -1,
    progress: null,
    version: null,
    sharedByData: new Map(),
    stuckIds: [],
  };
  if (row.status !== 'active') {
    peers.state = plan.states.push(ended('exited', `subscriber is ${row.status}`)) - 1;
    return peers;
  }
  try {
    const version = versions.get(row.versionId);
    if (!version) throw new Error(`version ${row.versionId} was not loaded`);
    const own = answers.get(row.id);
    const progress = advance(version.sequence, row.stepKey, {
      now,
      wait,
      timeZone: timeZoneOr(row.timeZone, version.sequence.fallbackZone).zone,
      answer: (leaf) => own?.get(needKey(leaf)) === true,
      date: (source) => own?.get(needKey(dateNeed(source))),
      arm: (experiment) => (own?.get(armKey(experiment)) as Assignment | undefined) ?? null,
      had: row.had === null ? null : (JSON.parse(row.had) as Record<string, string>),
    });
    peers.state = plan.states.push(stateAfter(progress)) - 1;
    return Object.assign(peers, { version, progress });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    plan.stuck.push({ ids: peers.stuckIds, stepKey: row.stepKey, reason });
    return peers;
  }
}

function addPerson(plan: BatchPlan, row: DueEnrollment, peers: Peers): void {
  const { state, progress, version, mailsDueAt } = peers;
  if (state < 0) {
    peers.stuckIds.push(row.id);
    return;
  }
  plan.moves.push({ id: row.id, state });
  if (progress === null || version === null) return;
  let shared = peers.sharedByData.get(row.data);
  if (shared === undefined) {
    const data = JSON.parse(row.data) as Record<string, unknown>;
    shared = progress.sent.map(
      (sent) => plan.mail.shared.push(sharedMail(sent, version, data, mailsDueAt)) - 1,
    );
    peers.sharedByData.set(row.data, shared);
  }
  for (const [index, { node, offerExpiresAt }] of progress.sent.entries()) {
    plan.mail.mails.push(mailTo(row, node.key, shared[index] ?? -1));
    if (node.offer === null) continue;
    const { id: enrollmentId, subscriberId } = row;
    plan.grants.push({ enrollmentId, subscriberId, offerSlug: node.offer.slug, expiresAt: offerExpiresAt });
  }
  for (const { key: stepKey, outcome } of progress.passed) {
    plan.decisions.push({ enrollmentId: row.id, stepKey, outcome });
  }
  addEffects(plan, row, progress);
}

function addEffects(plan: BatchPlan, row: DueEnrollment, { effects }: Progress): void {
  const { id: enrollmentId, subscriberId, data } = row;
  for (const effect of effects) {
    switch (effect.kind) {
      case 'tag':
      case 'untag':
      case 'set':
        plan.changes.push({ ...effect, subscriberId });
        break;
      case 'enter':
        plan.entries.push({ sequenceKey: effect.sequence, subscriberId, data });
        break;
      case 'webhook':
        plan.hooks.push({ enrollmentId, stepKey: effect.node.key, url: effect.node.url });
        break;
      case 'notify':
        plan.notices.push({ enrollmentId, stepKey: effect.node.key, text: effect.node.text });
        break;
      case 'assign': {
        const { isNew: _, ...assignment } = effect.assignment;
        plan.assignments.push({ ...assignment, enrollmentId, subscriberId });
        break;
      }
      default:
        effect satisfies never;
    }
  }
}

function mailTo(row: DueEnrollment, stepKey: string, shared: number): BatchMail {
  return {
    shared,
    dedupeKey: stepMailKey(row.id, stepKey),
    subscriberId: row.subscriberId,
    enrollmentId: row.id,
    address: row.email,
    emailKey: row.emailKey,
  };
}

/** The dedupe key of a step's mail. */
function stepMailKey(enrollmentId: string, stepKey: string): string {
  return `seq:${enrollmentId}:${stepKey}`;
}

function sharedMail(
  { node, offerExpiresAt, expiresAt, hours }: Sent,
  { funnelKey, sender, sequence }: RunningVersion,
  ...[data, dueAt]: [Record<string, unknown>, Date]
): SharedMail {
  const expires = offerExpiresAt === null ? {} : { expiresAt: offerExpiresAt.toISOString() };
  const offer = node.offer === null ? {} : { offer: { ...node.offer, ...expires } };
  const { priority } = sequence.definition;
  return {
    class: 'marketing',
    kind: 'sequence',
    funnelKey,
    sender,
    stepKey: node.key,
    templateId: node.templateId,
    data: { ...data, ...offer },
    dueAt,
    ...(expiresAt === null ? {} : { expiresAt }),
    ...(hours === null ? {} : { hours }),
    ...(priority === undefined ? {} : { priority }),
  };
}

function stateAfter(progress: Progress): NextState {
  if (progress.kind === 'completed') return ended('completed', null);
  if (progress.kind === 'exited') return ended('exited', progress.reason);
  const { stepKey, nextAt, deadline, isPutOff, watches } = progress;
  return {
    status: 'active',
    exitReason: null,
    stepKey,
    nextAt: nextAt === 'deadline' ? null : nextAt,
    waitUntil: deadline === 'same' ? null : deadline,
    keepsDeadline: deadline === 'same',
    isPutOff,
    watches: watches.length === 0 ? null : watches,
  };
}

function ended(status: 'completed' | 'exited', exitReason: string | null): NextState {
  return {
    status,
    exitReason,
    stepKey: null,
    nextAt: null,
    waitUntil: null,
    keepsDeadline: false,
    isPutOff: false,
    watches: null,
  };
}
