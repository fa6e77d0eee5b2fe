import type { BatchMail, MailBatch, SharedMail } from '../delivery/mail-batch.js';
import type { Sender } from '../delivery/message.js';
import { timeZoneOr } from '../values/zoned-time.js';
import { advance, type PreparedSequence, type Progress, type Sent } from './progress.js';

/** For subscribers whose zone is not known. */
const FALLBACK_ZONE = 'UTC';

export interface DueEnrollment {
  id: string;
  versionId: string;
  stepKey: string;
  /** When the step was due, in epoch milliseconds. */
  nextAtMs: number;
  /** JSON as the database wrote it: most people of a funnel have the same, which is then read once. */
  data: string;
  clicked: boolean;
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

/** Where an enrollment stands after its step; many share one. */
export interface NextState {
  status: 'active' | 'completed' | 'exited';
  exitReason: string | null;
  stepKey: string | null;
  nextAt: Date | null;
  waitsOnStep: string | null;
}

export interface Decision {
  enrollmentId: string;
  stepKey: string;
  outcome: 'then' | 'else';
}

export interface Grant {
  enrollmentId: string;
  subscriberId: string;
  offerSlug: string;
  expiresAt: Date | null;
}

/** All that a batch of due enrollments comes to. */
export interface BatchPlan {
  mail: MailBatch;
  states: NextState[];
  /** `state` is a place in `states`. */
  moves: { id: string; state: number }[];
  decisions: Decision[];
  grants: Grant[];
  /** Those whose next step cannot be worked out, by the reason: they must not hold up everybody behind them. */
  stuck: { ids: string[]; stepKey: string; reason: string }[];
}

/** What people at the same step, in the same zone, with the same click and delay have in common. */
interface Peers {
  mailsDueAt: Date;
  state: number;
  progress: Progress | null;
  version: RunningVersion | null;
  /** Per text of `data`, the places of the shared mails of `progress.sent`. */
  sharedByData: Map<string, number[]>;
  stuckIds: string[];
}

/**
 * Works out what is next for each. People at one step with one clock have the same answer, so it is found once for all
 * of them; what is left per person is a few identifiers.
 */
export function planBatch(
  due: readonly DueEnrollment[],
  versions: ReadonlyMap<string, RunningVersion>,
  now: Date,
): BatchPlan {
  const plan: BatchPlan = {
    mail: { shared: [], mails: [] },
    states: [],
    moves: [],
    decisions: [],
    grants: [],
    stuck: [],
  };
  const known = new Map<string, Peers>();
  for (const row of due) {
    const mailsDueAt = mailsDue(row.nextAtMs, now);
    const key =
      row.status === 'active'
        ? `${row.versionId} ${row.stepKey} ${row.timeZone ?? ''} ${row.clicked ? 1 : 0} ${mailsDueAt.getTime()}`
        : row.status;
    let peers = known.get(key);
    if (peers === undefined) known.set(key, (peers = peersOf(row, { plan, versions, now, mailsDueAt })));
    addPerson(plan, row, peers);
  }
  return plan;
}

const HOUR_MS = 3_600_000;

/**
 * Now, unless the step is over an hour late, as after an outage: then the mail is as late as its step, to the hour, so
 * that the rule for overdue mail sees it.
 */
function mailsDue(nextAtMs: number, now: Date): Date {
  if (now.getTime() - nextAtMs <= HOUR_MS) return now;
  return new Date(Math.ceil(nextAtMs / HOUR_MS) * HOUR_MS);
}

function peersOf(
  row: DueEnrollment,
  {
    plan,
    versions,
    now,
    mailsDueAt,
  }: { plan: BatchPlan; versions: ReadonlyMap<string, RunningVersion>; now: Date; mailsDueAt: Date },
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
    const timeZone = timeZoneOr(row.timeZone, FALLBACK_ZONE).zone;
    const progress = advance(version.sequence, row.stepKey, { now, timeZone, clicked: row.clicked });
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
  for (const stepKey of progress.passed) {
    plan.decisions.push({ enrollmentId: row.id, stepKey, outcome: row.clicked ? 'then' : 'else' });
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
export function stepMailKey(enrollmentId: string, stepKey: string): string {
  return `seq:${enrollmentId}:${stepKey}`;
}

function sharedMail(
  { node, offerExpiresAt }: Sent,
  { funnelKey, sender }: RunningVersion,
  ...[data, dueAt]: [Record<string, unknown>, Date]
): SharedMail {
  const expires = offerExpiresAt === null ? {} : { expiresAt: offerExpiresAt.toISOString() };
  const offer = node.offer === null ? {} : { offer: { ...node.offer, ...expires } };
  return {
    class: 'marketing',
    kind: 'sequence',
    funnelKey,
    sender,
    stepKey: node.key,
    templateId: node.templateId,
    data: { ...data, ...offer },
    dueAt,
  };
}

function stateAfter(progress: Progress): NextState {
  if (progress.kind === 'completed') return ended('completed', null);
  const { stepKey, nextAt, waitsOnStep } = progress;
  return { status: 'active', exitReason: null, stepKey, nextAt, waitsOnStep };
}

function ended(status: 'completed' | 'exited', exitReason: string | null): NextState {
  return { status, exitReason, stepKey: null, nextAt: null, waitsOnStep: null };
}
