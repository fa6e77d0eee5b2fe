import {
  BROADCAST_PAUSED,
  NOT_ACTIVE,
  ON_SUPPRESSION_LIST,
  LEFT_LIST,
  OUTSIDE_HOURS,
  PAUSED_BY_READER,
} from '../../delivery/message/state-reasons.js';
import { EXPIRY } from '../../delivery/message/expiry.js';
import { delayed, LONGEST_SPAN_MS, type FrequencyCap } from '../../delivery/pacing/frequency-cap.js';
import { expiresBeforeHours } from '../../delivery/waiting/expires-before-hours.js';
import { opensAt } from '../../values/week-hours.js';
import type { VirtualMail } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';

/** Sends what is due, as a worker without delay would. Returns the mails that went, in their order. */
export function sendVirtual(run: VirtualRun, now: Date, cap: FrequencyCap | null): VirtualMail[] {
  const due = run.record.mails
    .filter(({ state, dueAt }) => state === 'ready' && dueAt <= now)
    .toSorted((a, b) => a.priority - b.priority || a.dueAt.getTime() - b.dueAt.getTime());
  const allowed = due.filter((mail) => mayGo(run, mail, now) && !isTooLate(run, mail, now));
  const waiting = cap === null ? new Set<VirtualMail>() : holdBack(run, allowed, cap, now);
  const going = allowed.filter((mail) => !waiting.has(mail));
  for (const mail of going) {
    Object.assign(mail, { state: 'sent', sentAt: now });
    const { kind, sequence, step, template } = mail;
    run.tell(now, {
      ...{ what: 'mail', kind },
      ...(sequence === null ? {} : { sequence }),
      ...(step === null ? {} : { step }),
      ...(template === null ? {} : { template }),
    });
  }
  return going;
}

/** When the next mail that waits for its time may go; null when none does. */
export function nextMailAt({ record }: VirtualRun): Date | null {
  const times = record.mails.flatMap(({ state, dueAt }) => (state === 'ready' ? [dueAt.getTime()] : []));
  return times.length === 0 ? null : new Date(Math.min(...times));
}

/** Of sequences and broadcasts together: what the frequency cap counts. */
function isMarketing({ kind }: VirtualMail): boolean {
  return kind === 'sequence' || kind === 'broadcast';
}

function broadcastOf({ kind, step }: VirtualMail): string | null {
  return kind === 'broadcast' ? step : null;
}

function placeOf({ sequence, step }: VirtualMail): { sequence?: string; step: string } {
  return { ...(sequence === null ? {} : { sequence }), step: step ?? '' };
}

/** As the claim of `LedgerQueries`, in its order. */
function mayGo(run: VirtualRun, mail: VirtualMail, now: Date): boolean {
  if (!isMarketing(mail)) return true;
  const { kind, expiresAt, step, lists = [] } = mail;
  const { status, pausedUntil } = run.record;
  const hasLeft = !lists.every((group) => group.some((list) => run.record.lists.has(list)));
  if (expiresAt !== null && expiresAt <= now) return giveUp(run, mail, EXPIRY.tooLate(), now);
  if (kind === 'broadcast' && !hasLeft && run.pausedBroadcasts?.has(step ?? '') === true) {
    Object.assign(mail, { state: 'held', heldFor: 'broadcast' });
    run.tell(now, { what: 'held', ...placeOf(mail), until: null, reason: BROADCAST_PAUSED });
    return false;
  }
  // Who has left by a mail is on the list of addresses that get none.
  if (status === 'unsubscribed') return giveUp(run, mail, ON_SUPPRESSION_LIST, now);
  if (status !== 'active') return giveUp(run, mail, NOT_ACTIVE, now);
  if (hasLeft) return giveUp(run, mail, LEFT_LIST, now);
  if (pausedUntil === null) return true;
  // A broadcast passes by whoever has a pause, a step of a series waits for its end.
  if (kind === 'broadcast') return giveUp(run, mail, PAUSED_BY_READER, now);
  Object.assign(mail, { state: 'held', heldFor: 'reader' });
  run.tell(now, {
    ...{ what: 'held', ...placeOf(mail) },
    ...{ until: pausedUntil.toISOString(), reason: PAUSED_BY_READER },
  });
  return false;
}

function giveUp(run: VirtualRun, mail: VirtualMail, reason: string, now: Date): false {
  mail.state = 'cancelled';
  run.tell(now, { what: 'cancelled', ...placeOf(mail), reason });
  return false;
}

/** As `LedgerClaims`: a mail that has waited until its hours were over gets the time of their next opening. */
function isTooLate(run: VirtualRun, mail: VirtualMail, now: Date): boolean {
  const until = mail.hours === null ? null : opensAt(mail.hours, now);
  const { expiresAt } = mail;
  if (until === null || expiresBeforeHours(until, { broadcastId: broadcastOf(mail), expiresAt }))
    return false;
  hold(run, mail, { until, reason: OUTSIDE_HOURS }, now);
  return true;
}

function hold(
  run: VirtualRun,
  mail: VirtualMail,
  { until, reason }: { until: Date; reason: string },
  now: Date,
): void {
  Object.assign(mail, { dueAt: until, isPutOff: true });
  run.tell(now, { what: 'held', ...placeOf(mail), until: until.toISOString(), reason });
}

/** As `LedgerClaims`: those that are too many for one reader get a later time. */
function holdBack(
  run: VirtualRun,
  mails: readonly VirtualMail[],
  cap: FrequencyCap,
  now: Date,
): Set<VirtualMail> {
  const marketing = mails.filter(isMarketing);
  const sent = run.record.mails
    .filter(isMarketing)
    .flatMap(({ sentAt }) =>
      sentAt !== null && sentAt.getTime() > now.getTime() - LONGEST_SPAN_MS ? [sentAt] : [],
    );
  const { mails: planned } = run.record;
  const turnOf = (mail: VirtualMail): { id: string; priority: number } => ({
    ...{ id: String(planned.indexOf(mail)), priority: mail.priority },
  });
  const named = marketing.map((mail) => ({
    ...{ ...turnOf(mail), subscriberId: '1', broadcastId: broadcastOf(mail) },
    ...{ expiresAt: mail.expiresAt, hours: mail.hours },
  }));
  const waiting = planned
    .filter(({ state, isPutOff = false, dueAt }) => state === 'ready' && isPutOff && dueAt > now)
    .filter(({ expiresAt, dueAt }) => expiresAt === null || dueAt < expiresAt)
    .map((mail) => ({ ...turnOf(mail), at: mail.dueAt }));
  const all = { sent: new Map([['1', sent]]), waiting: new Map([['1', waiting]]) };
  const held = new Set<VirtualMail>();
  for (const { id, until, reason } of delayed(named, all, cap, now)) {
    const mail = planned[Number(id)];
    if (!mail) continue;
    hold(run, mail, { until, reason }, now);
    held.add(mail);
  }
  return held;
}
