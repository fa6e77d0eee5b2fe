import { addMail, type SharedMail } from '../../delivery/message/mail-batch.js';
import { BEGINNING_PRIORITY, type Sender } from '../../delivery/message/message.js';
import type { Assignment } from '../../experiments/experiment-terms.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { emptyPlan, type BatchPlan, type NextState } from './batch-plan.js';
import { isAsking, type OfferSnapshot, type SequenceNode } from '../steps/definition.js';
import { EXIT } from '../steps/exit-reasons.js';
import { needsAt, readHad, type DueGroup } from './due-group.js';
import { armKey, dateNeed, needKey, ownedKey, promiseKey, type PreparedSequence } from '../steps/prepared.js';
import { advance, type Progress, type Promised, type Sent } from '../steps/progress.js';
import { said, told } from '../offers/told-offer.js';
import { HOUR_MS } from '../../values/time-units.js';

/** Whoever is stuck at a step, which cannot be made now, is looked at again after this. */
export const POSTPONED_MS = HOUR_MS;

/** Of so many who begin a sequence in one turn nobody has just asked for it: they were imported. Who has would stand behind all of them. */
const CROWD = 50;

/** An offer as it is sold now. */
export interface OfferNow extends OfferSnapshot {
  productId: string;
  product: string;
}

/** The version of a sequence, with what its mails are sent as. */
export interface RunningVersion {
  sequence: PreparedSequence;
  funnelKey: string;
  sender: Sender;
  /** By slug, as they are sold now: a mail says what the checkout will ask, whatever the version is that people are in. */
  offers: ReadonlyMap<string, OfferNow>;
}

/** What is known about the people of a batch, by enrollment and `needKey`: a yes or no, what a field holds, or their place in a test. */
export type Answers = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

/** What people at the same step, in the same zone, with the same answers and delay have in common. */
interface Peers {
  mailsDueAt: Date;
  /** Place in `BatchPlan.states`; -1 for those who are stuck. */
  state: number;
  progress: Progress | null;
  version: RunningVersion | null;
  /** Of its mails, where neither the owner nor `priorityOf` says otherwise. */
  priority: number | undefined;
  /** Per text of `data`, the places of the shared mails of `progress.sent`. */
  sharedByData: Map<string, number[]>;
  stuckIds: string[];
}

/** One person of a group. */
interface Place {
  group: DueGroup;
  index: number;
}

interface Batch {
  plan: BatchPlan;
  versions: ReadonlyMap<string, RunningVersion>;
  answers: Answers;
  now: Date;
  /** Versions that a crowd begins. */
  crowded: ReadonlySet<string>;
}

/**
 * Works out what is next for each. People at one step with one clock and the same answers have the same next step, so it
 * is found once for all of them; what is left per person is a few identifiers.
 */
export function planBatch(
  due: readonly DueGroup[],
  versions: ReadonlyMap<string, RunningVersion>,
  answers: Answers,
  now: Date,
): BatchPlan {
  const batch: Batch = { plan: emptyPlan(), versions, answers, now, crowded: crowdedIn(due, versions) };
  const known = new Map<string, Peers>();
  const peersAt = (place: Place, start: string): Peers => {
    const key = start + answersText(place, batch);
    let peers = known.get(key);
    if (peers === undefined) known.set(key, (peers = peersOf(place, batch)));
    return peers;
  };
  for (const group of due) {
    if (group.status === 'paused' || group.status === 'stopped') {
      batch.plan[group.status].push(...group.people.ids);
      continue;
    }
    const start = startOfKey(group);
    const asks = needsAt(group, versions).length > 0;
    let peers: Peers | undefined;
    for (let index = 0; index < group.people.ids.length; index++) {
      if (peers === undefined || asks) peers = peersAt({ group, index }, start);
      addPerson(batch, { group, index }, peers);
    }
  }
  return batch.plan;
}

function startOfKey(group: DueGroup): string {
  const { status, versionId, stepKey, timeZone, wait, lateSinceMs, hoursOf, had } = group;
  if (status !== 'active') return status;
  return `${versionId} ${stepKey} ${timeZone ?? ''} ${wait} ${lateSinceMs ?? ''} ${hoursOf ?? ''} ${had ?? ''}`;
}

/** Empty for nearly all steps: nothing is asked there. */
function answersText({ group, index }: Place, { versions, answers }: Batch): string {
  const needs = needsAt(group, versions);
  if (needs.length === 0) return '';
  const own = answers.get(group.people.ids[index] ?? '');
  return ` ${JSON.stringify(needs.map((need) => own?.get(needKey(need)) ?? false))}`;
}

function peersOf({ group, index }: Place, { plan, versions, answers, now, crowded }: Batch): Peers {
  const { status, versionId, stepKey, timeZone, wait, lateSinceMs, hoursOf, had } = group;
  const peers: Peers = {
    mailsDueAt: lateSinceMs === null ? now : new Date(lateSinceMs),
    state: -1,
    progress: null,
    version: null,
    priority: undefined,
    sharedByData: new Map(),
    stuckIds: [],
  };
  if (status !== 'active') {
    peers.state = plan.states.push(ended('exited', EXIT.notActive(status))) - 1;
    return peers;
  }
  try {
    const version = versions.get(versionId);
    if (!version) throw new Error(`version ${versionId} was not loaded`);
    const own = answers.get(group.people.ids[index] ?? '');
    const progress = advance(version.sequence, stepKey, {
      now,
      wait,
      timeZone: timeZoneOr(timeZone, version.sequence.fallbackZone).zone,
      answer: (leaf) => isYes(own?.get(needKey(leaf))),
      heardAt: (leaf) => timeOf(own?.get(needKey(leaf))),
      date: (source) => own?.get(needKey(dateNeed(source))),
      arm: (experiment) => armFrom(own, experiment),
      promise: (offer) => (own?.get(promiseKey(offer)) as Promised | undefined) ?? null,
      owned: (offer) => (own?.get(ownedKey(offer)) as string | undefined) ?? null,
      hoursOf,
      had: readHad(had),
    });
    peers.state = plan.states.push(stateAfter(progress)) - 1;
    const priority =
      version.sequence.definition.priority ??
      (isBeginning(group, version) && !crowded.has(versionId) ? BEGINNING_PRIORITY : undefined);
    return Object.assign(peers, { version, progress, priority });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    plan.stuck.push({ ids: peers.stuckIds, stepKey, reason });
    return peers;
  }
}

/** Of events since a step was come to it is told when the first came. */
function isYes(answer: unknown): boolean {
  return answer === true || typeof answer === 'number';
}

function timeOf(answer: unknown): Date | null {
  return typeof answer === 'number' ? new Date(answer) : null;
}

/** People begin at the first step, and it waits for no time of its own: what goes in this turn they have come for. */
function isBeginning({ stepKey, wait }: DueGroup, { sequence }: RunningVersion): boolean {
  const first = sequence.nodes.get(stepKey);
  return stepKey === sequence.definition.first && wait === 'new' && first !== undefined && isAtOnce(first);
}

function crowdedIn(
  due: readonly DueGroup[],
  versions: ReadonlyMap<string, RunningVersion>,
): ReadonlySet<string> {
  const beginners = new Map<string, number>();
  for (const group of due) {
    const version = versions.get(group.versionId);
    if (version !== undefined && isBeginning(group, version))
      beginners.set(group.versionId, (beginners.get(group.versionId) ?? 0) + group.people.ids.length);
  }
  return new Set([...beginners].filter(([, people]) => people >= CROWD).map(([versionId]) => versionId));
}

function isAtOnce(node: SequenceNode): boolean {
  if (isAsking(node)) return true;
  const { delay, at, onDays, until, untilField } = node;
  return (
    delay === null && at === null && onDays === undefined && until === undefined && untilField === undefined
  );
}

/** Whoever was not looked up must not get the control: that would be a draw nobody sees in the test's results. */
function armFrom(own: ReadonlyMap<string, unknown> | undefined, experiment: string): Assignment | null {
  const arm = own?.get(armKey(experiment)) as Assignment | null | undefined;
  if (arm === undefined) throw new Error(`the arm in ${experiment} was not looked up`);
  return arm;
}

function addPerson({ plan, now }: Batch, { group, index }: Place, peers: Peers): void {
  const { state, progress, version } = peers;
  const { ids, subscriberIds, emails, emailKeys } = group.people;
  const [enrollmentId = '', subscriberId = ''] = [ids[index], subscriberIds[index]];
  if (state < 0) {
    peers.stuckIds.push(enrollmentId);
    return;
  }
  plan.moves.ids.push(enrollmentId);
  plan.moves.states.push(state);
  if (progress === null || version === null) return;
  const shared = sharedBy(peers, { plan, progress, version, data: group.data, now });
  for (const [place, { node, offerExpiresAt: expiresAt, promisedPrice }] of progress.sent.entries()) {
    addMail(plan.mail, {
      ...{ shared: shared[place] ?? -1, subscriberId, enrollmentId },
      ...{ address: emails[index] ?? '', emailKey: emailKeys[index] ?? '' },
    });
    if (node.offer === null) continue;
    const { slug } = node.offer;
    if (progress.sent.findLastIndex((sent) => sent.node.offer?.slug === slug) !== place) continue;
    const productId = version.offers.get(slug)?.productId ?? null;
    const price = said(offerNow(node.offer, version), promisedPrice);
    plan.grants.push({ enrollmentId, subscriberId, offerSlug: slug, productId, expiresAt, price });
  }
  for (const { key: stepKey, outcome } of progress.passed)
    plan.decisions.push({ enrollmentId, stepKey, outcome });
  addEffects(plan, { enrollmentId, subscriberId, data: group.data }, progress);
}

function sharedBy(
  { sharedByData, mailsDueAt, priority }: Peers,
  {
    plan,
    progress,
    version,
    data,
    now,
  }: { plan: BatchPlan; progress: Progress; version: RunningVersion; data: string; now: Date },
): readonly number[] {
  const known = sharedByData.get(data);
  if (known !== undefined) return known;
  const read = JSON.parse(data) as Record<string, unknown>;
  const shared = progress.sent.map(
    (sent) => plan.mail.shared.push(sharedMail(sent, version, read, { mailsDueAt, priority, now })) - 1,
  );
  sharedByData.set(data, shared);
  return shared;
}

function addEffects(
  plan: BatchPlan,
  { enrollmentId, subscriberId, data }: { enrollmentId: string; subscriberId: string; data: string },
  { effects }: Progress,
): void {
  for (const effect of effects) {
    switch (effect.kind) {
      case 'tag':
      case 'untag':
      case 'set':
        plan.changes.push({ ...effect, subscriberId, enrollmentId });
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

function sharedMail(
  { node, offerExpiresAt, promisedPrice, expiresAt, hours }: Sent,
  version: RunningVersion,
  ...[data, { mailsDueAt: dueAt, priority, now }]: [
    Record<string, unknown>,
    Pick<Peers, 'mailsDueAt' | 'priority'> & { now: Date },
  ]
): SharedMail {
  const { funnelKey, sender } = version;
  const offer =
    node.offer === null
      ? {}
      : { offer: told(offerNow(node.offer, version), { promisedPrice, expiresAt: offerExpiresAt, now }) };
  return {
    class: 'marketing',
    kind: 'sequence',
    // With the id of the enrollment between them.
    dedupeKey: ['seq:', `:${node.key}`],
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

/** What the mail says of its offer is what is sold now, if it is sold still. */
export function offerNow(offer: OfferSnapshot, { offers }: Pick<RunningVersion, 'offers'>): OfferSnapshot {
  const now = offers.get(offer.slug);
  if (now === undefined) return offer;
  const { productId: _id, product: _of, ...snapshot } = now;
  return snapshot;
}

function stateAfter(progress: Progress): NextState {
  if (progress.kind === 'completed') return ended('completed', null);
  if (progress.kind === 'exited') return ended('exited', progress.reason);
  const { stepKey, nextAt, deadline, cameAt, isPutOff, hoursOf, watches } = progress;
  return {
    status: 'active',
    exitReason: null,
    stepKey,
    nextAt: nextAt === 'deadline' ? null : nextAt,
    waitUntil: deadline === 'same' ? null : deadline,
    keepsDeadline: deadline === 'same',
    cameAt,
    isPutOff,
    hoursOf,
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
    cameAt: null,
    isPutOff: false,
    hoursOf: null,
    watches: null,
  };
}
