import type { PauseDays } from '../../privacy/preferences.js';
import { activeOf, type VirtualMail, type VirtualRecord } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { isAsking, type SequenceNode } from '../../sequences/steps/definition.js';
import { addDuration } from '../../values/duration.js';
import { DAY_MS, HOUR_MS } from '../../values/time-units.js';
import { nodeOf } from './virtual-sequences.js';

/** As `PausesService.begin`: in place of a pause that is under way. */
export function beginPause(run: VirtualRun, days: PauseDays, now: Date): void {
  const { record } = run;
  const before = record.pausedUntil;
  record.pausedUntil = new Date(now.getTime() + days * DAY_MS);
  run.tell(now, { what: 'paused', until: record.pausedUntil.toISOString() });
  if (before !== null) resume(record, before, now);
}

/** As `PausesService.end`: before its time. */
export function endPause(run: VirtualRun, now: Date): void {
  const before = run.record.pausedUntil;
  if (before === null) return;
  resume(run.record, before, now);
  over(run, now);
}

/** As `PausesService.endDue`. */
export function endDuePause(run: VirtualRun, now: Date): void {
  const { pausedUntil } = run.record;
  if (pausedUntil !== null && pausedUntil <= now) over(run, now);
}

/** Whoever is due in a pause stays where they are until its end, as `EnrollmentsQueries.holdPaused` has it. */
export function isPaused({ pausedUntil }: VirtualRecord, now: Date): boolean {
  return pausedUntil !== null && pausedUntil > now;
}

/** As `EnrollmentsService.resume`: what came up in the pause comes now. */
function resume(record: VirtualRecord, pausedUntil: Date, now: Date): void {
  for (const one of activeOf(record)) if (one.nextAt?.getTime() === pausedUntil.getTime()) one.nextAt = now;
}

/** As `MessagesQueries.releasePaused`. */
function over(run: VirtualRun, now: Date): void {
  run.record.pausedUntil = null;
  run.tell(now, { what: 'pause over' });
  for (const mail of run.record.mails) {
    if (mail.state !== 'held' || mail.heldFor !== 'reader') continue;
    if (goesLast(run.record, mail, now)) countAnew(run, mail.enrollmentId, now);
    Object.assign(mail, { state: 'ready', heldFor: null, dueAt: mail.dueAt > now ? mail.dueAt : now });
  }
}

/** It goes, and no later one of its sequence has. */
function goesLast({ mails }: VirtualRecord, mail: VirtualMail, now: Date): boolean {
  if (mail.expiresAt !== null && mail.expiresAt <= now) return false;
  const later = mails.slice(mails.indexOf(mail) + 1);
  return !later.some(({ enrollmentId, state }) => enrollmentId === mail.enrollmentId && state === 'sent');
}

/** As `countAnew` of the mails. */
function countAnew({ record, funnels }: VirtualRun, enrollmentId: string | null, now: Date): void {
  const one = activeOf(record).find(({ id }) => id === enrollmentId);
  if (!one || (one.cameAt ?? null) !== null) return;
  const node = nodeOf(funnels, one.sequence, one.stepKey ?? '');
  if (node === undefined || expiresBefore(node, now)) return;
  Object.assign(one, { nextAt: now, waitUntil: null, isAnew: true });
}

function expiresBefore(node: SequenceNode, from: Date): boolean {
  if (isAsking(node) || node.expires === undefined) return false;
  const earliest = Date.parse(node.expires.slice(0, 10)) - 14 * HOUR_MS;
  const due = node.delay === null ? from : addDuration(from, node.delay, 'UTC');
  return due.getTime() >= earliest;
}
