import type { MailBatch, MailTimes, SharedMail } from '../delivery/mail-batch.js';
import { WAITS_FOR_TEST } from '../delivery/message.js';
import { broadcastMailKey, topicOf, type Broadcast } from './broadcast.js';
import { armOf, type SplitDecision } from './split.js';
import { AT_ONCE, mailTime, spreadOffsetMs, type MailTime } from './timing.js';

/** By column, one entry for each in every column. */
export interface Recipients {
  /** Ascending. */
  ids: string[];
  emails: string[];
  emailKeys: string[];
  timeZones: (string | null)[];
}

/**
 * The mails of a broadcast to some of its recipients, of whom the first is number `position`, and what there is to count.
 * Of a split test, those who are not part of it get a mail that is held, so that the audience stays as it was frozen.
 */
export function broadcastBatch(
  broadcast: Broadcast,
  { ids, emails, emailKeys, timeZones }: Recipients,
  position: number,
): { batch: MailBatch; withoutZone: number; hourPassed: number } {
  const arms = ids.map((id) => armFor(broadcast, id));
  const times = timesOf(broadcast, timeZones, position);
  // Each arm has its place; the mails that wait come last.
  const waiting = broadcast.split?.arms.length ?? 0;
  return {
    batch: {
      shared: sharedOf(broadcast),
      mails: {
        shared: arms.map((arm) => arm ?? waiting),
        subscriberIds: ids,
        enrollmentIds: ids.map(() => null),
        addresses: emails,
        emailKeys,
      },
      times:
        times === null && broadcast.split === null
          ? null
          : arms.map((arm, place) =>
              arm === null ? waitingTimes(broadcast, position + place) : timesInLedger(times?.[place]),
            ),
    },
    withoutZone: times?.filter(({ fellBack }) => fellBack).length ?? 0,
    hourPassed: times?.filter(({ passed }, place) => passed && arms[place] !== null).length ?? 0,
  };
}

/** 0 without a test. Null: they wait for its result. */
function armFor({ id, split }: Broadcast, subscriberId: string): number | null {
  return split === null ? 0 : armOf({ id, split }, subscriberId);
}

function sharedOf(broadcast: Broadcast): SharedMail[] {
  const { id, templateId, sender, scheduledAt, createdAt, expiresAt, armTemplateIds, priority } = broadcast;
  const mail: SharedMail = {
    class: 'marketing',
    kind: 'broadcast',
    dedupeKey: broadcastMailKey(id),
    funnelKey: topicOf(broadcast),
    broadcastId: id,
    templateId,
    data: {},
    sender,
    priority,
    // Not the present: a broadcast that is late because nothing ran meets the rule for overdue mails.
    dueAt: scheduledAt ?? createdAt,
    ...(expiresAt === null ? {} : { expiresAt }),
  };
  if (armTemplateIds === null) return [mail];
  const arms = armTemplateIds.map((armTemplateId, arm) => ({ ...mail, templateId: armTemplateId, arm }));
  return [...arms, { ...mail, heldFor: WAITS_FOR_TEST }];
}

/** Null when all are due at the same instant, which then crosses to the database once. */
function timesOf(
  broadcast: Broadcast,
  timeZones: readonly (string | null)[],
  position: number,
): MailTime[] | null {
  const timing = broadcast.timing ?? AT_ONCE;
  if (timing.local === null && timing.spreadMinutes === 0) return null;
  const moments = { scheduledAt: beginOf(broadcast), startedAt: broadcast.startedAt ?? beginOf(broadcast) };
  return timeZones.map((timeZone, place) =>
    mailTime(timing, moments, { timeZone, position: position + place }),
  );
}

/** Their place in the spread, counted from the beginning; the rest of their time comes with the result of the test. */
function waitingTimes(broadcast: Broadcast, position: number): MailTimes {
  const { startedAt, timing } = broadcast;
  const begun = startedAt ?? beginOf(broadcast);
  const offsetMs = spreadOffsetMs(position, timing?.spreadMinutes ?? 0);
  return { dueAt: new Date(begun.getTime() + offsetMs), plannedFor: null, expiresAt: null };
}

/**
 * When a mail that has waited for the test is due: as if the broadcast had begun with the decision. `dueAt`: its place in
 * the spread, counted from the beginning.
 */
export function timesAfterTest(
  broadcast: Pick<Broadcast, 'startedAt' | 'createdAt' | 'timing' | 'decideAt'> & { decision: SplitDecision },
  { timeZone, dueAt }: { timeZone: string | null; dueAt: Date },
): MailTimes {
  const { decision, decideAt, startedAt, createdAt, timing } = broadcast;
  const offsetMs = dueAt.getTime() - (startedAt ?? createdAt).getTime();
  const timeFrom = (begin: Date): MailTime =>
    mailTime(
      { ...(timing ?? AT_ONCE), spreadMinutes: 0 },
      { scheduledAt: begin, startedAt: begin },
      { timeZone, position: 0 },
    );
  const decided = new Date(decision.at);
  const time = timeFrom(decided);
  return {
    dueAt: time.tooLate ? time.dueAt : new Date(time.dueAt.getTime() + offsetMs),
    // By a decision in time: one that a restored backup decides again may have gone out already.
    plannedFor: new Date(timeFrom(decideAt ?? decided).dueAt.getTime() + offsetMs),
    expiresAt: time.tooLate ? time.dueAt : null,
  };
}

/** One that is too late has expired when it is due: the ledger then says so itself. */
function timesInLedger(time: MailTime | undefined): MailTimes | null {
  if (time === undefined) return null;
  const { dueAt, plannedFor, tooLate } = time;
  return { dueAt, plannedFor, expiresAt: tooLate ? dueAt : null };
}

function beginOf({ scheduledAt, createdAt }: Broadcast): Date {
  return scheduledAt ?? createdAt;
}
