import type { Trigger } from '../../sequences/steps/condition.js';
import { mayJoin, type EarlierTimes } from '../../sequences/enrollments/joining.js';
import { dueAt } from '../../sequences/steps/due-at.js';
import {
  cameToHold,
  isToldOf,
  metByFields,
  pitchesTo,
  productGained,
  reactionsTo,
  type FieldsOf,
  type Place,
} from '../../sequences/events/reactions.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { activeOf, type VirtualEnrollment, type VirtualMail, type VirtualRecord } from './virtual-record.js';
import { tellWait, type VirtualRun } from './virtual-run.js';
import { entryFields, sequencesBegunBy } from './virtual-sequences.js';

interface Cause {
  entryKey?: string | undefined;
  /** A step of theirs made it happen. */
  byStep?: boolean;
}

/** The enrollments whose steps have made it happen. */
interface Steps {
  causes?: readonly string[] | undefined;
}

/** As `EnrollingService.join` for one person. */
export function join(
  run: VirtualRun,
  key: string,
  now: Date,
  { entryKey, byStep = false }: Cause = {},
): boolean {
  const { record, funnels } = run;
  const sequence = funnels.versions.get(key)?.sequence;
  const first = sequence?.definition.first;
  if (!sequence || first === undefined || first === null) return false;
  const earlier = earlierTimes(record.enrollments, key, entryKey);
  if (!mayJoin(sequence.definition.reentry, earlier, { now, entryKey, byStep })) return false;
  const timeZone = timeZoneOr(record.timeZone, sequence.fallbackZone).zone;
  const enrollment: VirtualEnrollment = {
    id: String(record.enrollments.length + 1),
    sequence: key,
    occurrence: (earlier?.count ?? 0) + 1,
    status: 'active',
    exitReason: null,
    stepKey: first,
    nextAt: dueAt(sequence, first, { now, timeZone }),
    waitUntil: null,
    watches: null,
    startedAt: now,
    endedAt: null,
    entryKey,
  };
  record.enrollments.push(enrollment);
  run.tell(now, { what: 'joined', sequence: key });
  tellWait(run, enrollment, now);
  return true;
}

/** As `ReactionsService.happened` for one person. */
export function happened(
  run: VirtualRun,
  trigger: Trigger,
  now: Date,
  { entryKey, causes }: Pick<Cause, 'entryKey'> & Steps = {},
): void {
  const { record, funnels } = run;
  const places = placesOf(record, causes);
  react(run, places, trigger, now);
  withdraw(run, places, trigger, now);
  lookAgain(run, now);
  if (record.status !== 'active') return;
  const cause = { entryKey, byStep: causes !== undefined };
  for (const key of sequencesBegunBy(funnels, trigger)) join(run, key, now, cause);
}

/** As `ReactionsService.changed`: fields have other values. */
export function changed(
  run: VirtualRun,
  now: Date,
  { before, causes }: { before: FieldsOf | null } & Steps,
): void {
  const { record, funnels } = run;
  if (before !== null) {
    const change = { before, after: record.fields };
    const all = placesOf(record, causes);
    for (const { trigger, places } of metByFields(all, funnels.versions, () => change))
      react(run, places, trigger, now);
  }
  lookAgain(run, now);
  if (before === null || record.status !== 'active') return;
  for (const trigger of entryFields(funnels))
    if (cameToHold(trigger, before, record.fields))
      for (const key of sequencesBegunBy(funnels, trigger))
        join(run, key, now, { byStep: causes !== undefined });
}

/** As `ReactionsService.arrived`: the person has confirmed. */
export function arrived(run: VirtualRun, now: Date): void {
  for (const trigger of entryFields(run.funnels))
    if (cameToHold(trigger, {}, run.record.fields))
      for (const key of sequencesBegunBy(run.funnels, trigger)) join(run, key, now);
  for (const tag of run.record.tags)
    for (const key of sequencesBegunBy(run.funnels, { kind: 'tag', tag })) join(run, key, now);
  for (const list of [...run.record.lists].toSorted())
    for (const key of sequencesBegunBy(run.funnels, { kind: 'list', list })) join(run, key, now);
  // By whose link they came, `happened` says at the same moment.
  if (!run.record.isAffiliate) return;
  for (const key of sequencesBegunBy(run.funnels, { kind: 'affiliate', whose: 'self' }))
    join(run, key, now, { byStep: true });
}

/** As `MailEntriesService`: the first open or click of a mail. */
export function readMail(
  run: VirtualRun,
  { kind, mail }: { kind: 'clicked' | 'opened'; mail: VirtualMail },
  now: Date,
): void {
  const { sequence, step, enrollmentId } = mail;
  if (sequence === null || step === null || run.record.status !== 'active') return;
  const entryKey = `${kind} seq:${enrollmentId ?? ''}:${step}`;
  for (const key of sequencesBegunBy(run.funnels, { kind, step, sequence }))
    join(run, key, now, { entryKey });
}

/** As `ReactionsService.metIn`: it has happened in this enrollment alone. */
export function metIn(run: VirtualRun, enrollmentId: string, trigger: Trigger, now: Date): void {
  const places = placesOf(run.record).filter(({ id }) => id === enrollmentId);
  react(run, places, trigger, now);
}

/** As `ReactionsService.places`: those that are over come last. */
function placesOf({ enrollments, timeZone }: VirtualRecord, causes?: readonly string[]): Place[] {
  const isOver = ({ id, status }: VirtualEnrollment): boolean => status !== 'active' && isToldOf(id, causes);
  const places = [...enrollments.filter(({ status }) => status === 'active'), ...enrollments.filter(isOver)];
  return places.map(({ id, sequence, stepKey }) => ({ id, versionId: sequence, stepKey, timeZone }));
}

function react(run: VirtualRun, places: readonly Place[], trigger: Trigger, now: Date): void {
  const { exits, reason, jumps } = reactionsTo(places, run.funnels.versions, trigger, { now });
  for (const one of those(run, exits)) end(run, one, reason, now);
  for (const { ids, goal, to, nextAt } of jumps) {
    for (const one of those(run, ids)) {
      putOutcome(run, one.id, goal, 'reached');
      run.tell(now, { what: 'step', sequence: one.sequence, step: goal, outcome: 'reached' });
      Object.assign(one, {
        ...{ stepKey: to, nextAt, waitUntil: null, cameAt: null, watches: null, hoursOf: null },
      });
      if (to === null) Object.assign(one, { status: 'completed', endedAt: now });
      if (to === null) run.tell(now, { what: 'completed', sequence: one.sequence });
      cancelMails(run, { id: one.id }, `goal ${goal} reached`, now);
      tellWait(run, one, now);
    }
  }
}

/** As `ReactionsService.lookAgain`: whoever waits for something is looked at now. */
export function lookAgain({ record }: VirtualRun, now: Date): void {
  for (const one of activeOf(record))
    if (one.waitUntil !== null && one.nextAt !== null && one.nextAt > now) one.nextAt = now;
}

/** As `ReactionsService.leave`, from all sequences. */
export function leaveAll(run: VirtualRun, reason: string, now: Date): void {
  for (const one of activeOf(run.record)) end(run, one, reason, now);
}

/** False when something was written down for the step before; that stays. */
export function putOutcome(
  { record }: VirtualRun,
  enrollmentId: string,
  step: string,
  outcome: string,
): boolean {
  const own = record.outcomes.get(enrollmentId) ?? new Map<string, string>();
  record.outcomes.set(enrollmentId, own);
  if (own.has(step)) return false;
  own.set(step, outcome);
  return true;
}

function those({ record }: VirtualRun, ids: readonly string[]): VirtualEnrollment[] {
  return record.enrollments.filter(({ id }) => ids.includes(id));
}

function end(run: VirtualRun, one: VirtualEnrollment, reason: string, now: Date): void {
  if (one.status === 'active') leave(run, one, reason, now);
  cancelMails(run, { id: one.id }, reason, now);
}

function leave(run: VirtualRun, one: VirtualEnrollment, reason: string, now: Date): void {
  Object.assign(one, {
    status: 'exited',
    exitReason: reason,
    endedAt: now,
    nextAt: null,
    waitUntil: null,
    watches: null,
  });
  run.tell(now, { what: 'exited', sequence: one.sequence, reason });
}

/** As `ReactionsService.withdraw`. */
function withdraw(run: VirtualRun, places: readonly Place[], trigger: Trigger, now: Date): void {
  const product = productGained(trigger);
  if (product === null) return;
  const { versions, offers } = run.funnels;
  const pitches = pitchesTo(places, versions, product, (slug) => offers.get(slug)?.product.key);
  for (const { id, step } of pitches) cancelMails(run, { id, step }, `already owns ${product}`, now);
}

function cancelMails(
  run: VirtualRun,
  { id, step }: { id: string; step?: string },
  reason: string,
  now: Date,
): void {
  for (const mail of run.record.mails) {
    if (mail.enrollmentId !== id || (mail.state !== 'ready' && mail.state !== 'held')) continue;
    if (step !== undefined && mail.step !== step) continue;
    Object.assign(mail, { state: 'cancelled', heldFor: null });
    run.tell(now, { what: 'cancelled', sequence: mail.sequence ?? '', step: mail.step ?? '', reason });
  }
}

function earlierTimes(
  enrollments: readonly VirtualEnrollment[],
  key: string,
  entryKey: string | undefined,
): EarlierTimes | null {
  const own = enrollments.filter(({ sequence }) => sequence === key);
  if (own.length === 0) return null;
  const latest = (times: Date[]): Date => new Date(Math.max(...times.map((time) => time.getTime())));
  return {
    count: own.length,
    isIn: own.some(({ status }) => status === 'active'),
    lastStartedAt: latest(own.map(({ startedAt }) => startedAt)),
    lastAt: latest(own.map(({ endedAt, startedAt }) => endedAt ?? startedAt)),
    sameEntry: entryKey !== undefined && own.some((one) => one.entryKey === entryKey),
  };
}
