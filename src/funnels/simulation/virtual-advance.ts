import { priorityOf } from '../../delivery/message/message.js';
import { planBatch, POSTPONED_MS } from '../../sequences/advance/advance-batch.js';
import { lateSince, needsOf, withoutEnrollments, type DueGroup } from '../../sequences/advance/due-group.js';
import { endedWaits, waitsLonger, type EndedWait } from '../../sequences/advance/late-mails.js';
import type { BatchPlan, NextState } from '../../sequences/advance/batch-plan.js';
import { leafKey, type FieldValue, type Trigger } from '../../sequences/steps/condition.js';
import type { OfferSnapshot, SequenceNode } from '../../sequences/steps/definition.js';
import { DomainError } from '../../values/domain-error.js';
import { answersFrom } from './virtual-facts.js';
import { grantOffers } from './virtual-promises.js';
import { changed, happened, join, putOutcome } from './virtual-reactions.js';
import { activeOf, turnAt, type VirtualEnrollment, type VirtualMail } from './virtual-record.js';
import { isPaused } from './virtual-pauses.js';
import { tellWait, type VirtualRun } from './virtual-run.js';
import { nodeOf, placeOf } from './virtual-sequences.js';

/** Far more than an honest funnel does at one moment. */
const MOST_ROUNDS = 1_000;

/**
 * Runs what is due at `now` until nothing is, as `sequences.advance-due` does for everybody. Throws
 * `SIMULATION_INVALID` when that never ends.
 */
export function advanceVirtual(run: VirtualRun, now: Date): void {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    // All steps that are due go before the other sequences hear of what they changed.
    if (advanceOnce(run, now) > 0) continue;
    if (run.record.signals.length === 0) return;
    while (run.record.signals.length > 0) takeSignals(run, now);
  }
  throw new DomainError(
    'SIMULATION_INVALID',
    `steps without a wait lead back to each other at ${now.toISOString()}; put a wait between them`,
    { at: now.toISOString() },
  );
}

/** As `SignalsService`: one sort of signal at a time, each sort once. */
function takeSignals(run: VirtualRun, now: Date): void {
  const { record } = run;
  const first = record.signals[0]?.trigger ?? null;
  const name = (trigger: Trigger | null): string => (trigger === null ? '' : leafKey(trigger));
  const taken = record.signals.filter(({ trigger }) => name(trigger) === name(first));
  record.signals = record.signals.filter(({ trigger }) => name(trigger) !== name(first));
  const before = taken.find((signal) => signal.before !== null)?.before ?? null;
  const causes = taken.map(({ enrollmentId }) => enrollmentId);
  if (first === null) changed(run, now, { before, causes });
  else happened(run, first, now, { causes });
}

/** As one batch of `AdvanceService`, for one person. Returns how many of their enrollments were due. */
function advanceOnce(run: VirtualRun, now: Date): number {
  const { record, funnels } = run;
  const due = dueRows(run, now);
  if (due.length === 0) return 0;
  const answers = answersFrom(run, needsOf(due, funnels.versions), now);
  const first = planBatch(due, funnels.versions, answers, now);
  const longer = waitLonger(run, endedWaits(due, funnels.versions, first), now);
  const others = withoutEnrollments(due, longer);
  const plan = longer.size === 0 ? first : planBatch(others, funnels.versions, answers, now);
  for (const { ids } of plan.stuck) postponeStuck(run, ids, new Date(now.getTime() + POSTPONED_MS));
  holdPaused(run, plan.paused, now);
  for (const { stepKey, reason, ids } of plan.stuck)
    for (const one of record.enrollments.filter(({ id }) => ids.includes(id)))
      run.tell(now, { what: 'stuck', sequence: one.sequence, step: stepKey, reason });
  for (const [index, id] of plan.moves.ids.entries()) {
    const one = record.enrollments.find((candidate) => candidate.id === id);
    const next = plan.states[plan.moves.states[index] ?? -1];
    if (one && next) move(run, one, { plan, next, now });
  }
  grantOffers(run, plan, now);
  applyEffects(run, plan, now);
  return due.length;
}

/** As `AdvanceService.waitLonger`. */
function waitLonger(run: VirtualRun, waits: readonly EndedWait[], now: Date): Set<string> {
  const { enrollments, mails } = run.record;
  const longer = new Set<string>();
  for (const wait of waits) {
    const one = enrollments.find(({ id }) => id === wait.id);
    const watched = mails.filter(
      (mail) => mail.enrollmentId === wait.id && one?.watches?.includes(mail.step ?? ''),
    );
    const went = watched.flatMap(({ state, sentAt, dueAt }) => {
      if (state === 'cancelled') return [];
      return sentAt ?? (state === 'held' ? now : dueAt);
    });
    if (!one?.waitUntil || went.length === 0) continue;
    const wentAt = new Date(Math.max(...went.map((at) => at.getTime())));
    const until = waitsLonger(wait, { waitUntil: one.waitUntil, wentAt }, now);
    if (until === null) continue;
    Object.assign(one, { nextAt: until, waitUntil: until });
    longer.add(one.id);
    tellWait(run, one, now);
  }
  return longer;
}

/** Each by itself. */
function dueRows({ record }: VirtualRun, now: Date): DueGroup[] {
  return activeOf(record)
    .filter(({ nextAt }) => nextAt !== null && nextAt <= now)
    .toSorted(
      (a, b) => (a.nextAt?.getTime() ?? 0) - (b.nextAt?.getTime() ?? 0) || Number(a.id) - Number(b.id),
    )
    .map(({ id, sequence, stepKey, nextAt, waitUntil, isAnew = false, hoursOf = null, had = null }) => ({
      ...{ versionId: sequence, stepKey: stepKey ?? '', data: '{}', hoursOf, had },
      ...{ status: statusOf(record, now), timeZone: record.timeZone },
      people: { ids: [id], subscriberIds: ['1'], emails: [''], emailKeys: [''] },
      lateSinceMs: lateSince(nextAt?.getTime() ?? 0, now),
      wait: isAnew ? 'anew' : waitUntil === null ? 'new' : waitUntil <= now ? 'over' : 'pending',
    }));
}

/** As the claim of those who are due reads it. */
function statusOf(record: VirtualRun['record'], now: Date): string {
  return record.status === 'active' && isPaused(record, now) ? 'paused' : record.status;
}

/** What one enrollment's turn has done, told in the order of the steps, and where it stands now. */
function move(
  run: VirtualRun,
  one: VirtualEnrollment,
  { plan, next, now }: { plan: BatchPlan; next: NextState; now: Date },
): void {
  const order = (step: string): number => placeOf(run.funnels, one.sequence, step);
  const steps: { step: string; tell: () => void }[] = [];
  for (const [nth, enrollmentId] of plan.mail.mails.enrollmentIds.entries()) {
    if (enrollmentId !== one.id) continue;
    const shared = plan.mail.shared[plan.mail.mails.shared[nth] ?? -1];
    const step = shared?.stepKey ?? '';
    if (!shared || run.record.mails.some((known) => known.enrollmentId === one.id && known.step === step))
      continue;
    run.record.mails.push(plannedMail(one, shared));
    const offer = shared.data['offer'] as (OfferSnapshot & { expiresAt?: string }) | undefined;
    if (offer === undefined) continue;
    const { slug, price, expiresAt: until = null } = offer;
    const told = { what: 'offer' as const, sequence: one.sequence, step, offer: slug, price, until };
    steps.push({ step, tell: () => run.tell(now, told) });
  }
  for (const { stepKey: step, outcome } of plan.decisions.filter(
    ({ enrollmentId }) => enrollmentId === one.id,
  )) {
    if (!putOutcome(run, one.id, step, outcome)) continue;
    const does = doing(nodeOf(run.funnels, one.sequence, step), outcome);
    const more = does === undefined ? {} : { does };
    steps.push({
      step,
      tell: () => run.tell(now, { what: 'step', sequence: one.sequence, step, outcome, ...more }),
    });
  }
  for (const { tell } of steps.toSorted((a, b) => order(a.step) - order(b.step))) tell();
  stand(run, one, next, now);
}

function stand(run: VirtualRun, one: VirtualEnrollment, next: NextState, now: Date): void {
  const { sequence, waitUntil } = one;
  const cameAt = { same: one.cameAt ?? null, turn: turnAt(one) };
  Object.assign(one, {
    status: next.status,
    exitReason: next.exitReason,
    stepKey: next.stepKey,
    nextAt: next.status === 'active' ? (next.nextAt ?? waitUntil) : null,
    endedAt: next.status === 'active' ? null : now,
    waitUntil: next.keepsDeadline ? waitUntil : next.waitUntil,
    cameAt: typeof next.cameAt === 'string' ? cameAt[next.cameAt] : next.cameAt,
    watches: next.watches,
    hoursOf: next.hoursOf,
    isAnew: false,
  });
  if (next.status === 'completed') run.tell(now, { what: 'completed', sequence });
  else if (next.status === 'exited')
    run.tell(now, { what: 'exited', sequence, reason: next.exitReason ?? '' });
  else tellWait(run, one, now);
}

function plannedMail(
  { id, sequence }: VirtualEnrollment,
  mail: BatchPlan['mail']['shared'][number],
): VirtualMail {
  const { stepKey, funnelKey, templateId, dueAt, expiresAt, hours } = mail;
  return {
    ...{ kind: 'sequence', enrollmentId: id, sequence, step: stepKey ?? null, template: templateId },
    ...{ priority: priorityOf(mail), dueAt, sentAt: null, expiresAt: expiresAt ?? null },
    ...{ hours: hours ?? null, state: 'ready', heldFor: null, opened: false, clicked: false },
    ...{ hits: [], topic: funnelKey, arm: null },
  };
}

/** As `EffectsService.apply`. */
function applyEffects(run: VirtualRun, { changes, entries, assignments }: BatchPlan, now: Date): void {
  const { record } = run;
  for (const { experimentId: test, arm } of assignments) record.arms.set(test, arm);
  const before = { ...record.fields };
  for (const change of changes) {
    const { enrollmentId } = change;
    if (change.kind === 'set') {
      setFields(record.fields, change.fields);
      record.signals.push({ enrollmentId, trigger: null, before });
      continue;
    }
    const { kind } = change;
    const done = change.tags.filter((tag) => changeTag(record.tags, kind, tag));
    const trigger = kind === 'tag' ? ('tag' as const) : ('untagged' as const);
    record.signals.push(
      ...done.map((tag) => ({ enrollmentId, trigger: { kind: trigger, tag }, before: null })),
    );
  }
  for (const { sequenceKey } of entries) join(run, sequenceKey, now, { byStep: true });
}

export function setFields(
  fields: Record<string, FieldValue | null>,
  changes: Readonly<Record<string, FieldValue | null>>,
): void {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete fields[name];
    else fields[name] = value;
  }
}

/** Whether sequences hear of it: also of a tag that was there, but not of one that was not. */
function changeTag(tags: Set<string>, kind: 'tag' | 'untag', tag: string): boolean {
  if (kind === 'untag') return tags.delete(tag);
  tags.add(tag);
  return true;
}

function postpone({ record }: VirtualRun, ids: readonly string[], until: Date): void {
  for (const one of record.enrollments) if (ids.includes(one.id)) one.nextAt = until;
}

/** As `EnrollmentsQueries.postpone`: when they came to the step stays. */
function postponeStuck(run: VirtualRun, ids: readonly string[], until: Date): void {
  for (const one of run.record.enrollments)
    if (ids.includes(one.id) && one.waitUntil === null) one.cameAt = turnAt(one);
  postpone(run, ids, until);
}

/** As `EnrollmentsQueries.holdPaused`. */
function holdPaused(run: VirtualRun, ids: readonly string[], now: Date): void {
  const { pausedUntil, enrollments } = run.record;
  if (pausedUntil === null || ids.length === 0) return;
  postpone(run, ids, pausedUntil);
  for (const one of enrollments) if (ids.includes(one.id)) tellWait(run, one, now);
}

/** What a step that ran does, in words; undefined for one that does nothing but lead on. */
function doing(node: SequenceNode | undefined, outcome: string): string | undefined {
  if (outcome !== 'ran' || node === undefined) return undefined;
  if (node.kind === 'tag') return `tags ${node.tags.join(', ')}`;
  if (node.kind === 'untag') return `takes off ${node.tags.join(', ')}`;
  if (node.kind === 'webhook') return `calls ${node.url}`;
  if (node.kind === 'notify') return `tells the owner: ${node.text}`;
  if (node.kind !== 'set') return undefined;
  const fields = Object.entries(node.fields).map(([name, value]) => `${name} to ${JSON.stringify(value)}`);
  return `sets ${fields.join(', ')}`;
}
