import type { MailBatch, MailTimes, SharedMail } from '../delivery/message/mail-batch.js';
import { WAITS_FOR_TEST } from '../delivery/message/state-reasons.js';
import { HELD_OUT, HOLDOUT } from '../segments/held-out.js';
import type { Promised } from '../sequences/steps/progress.js';
import { offerData, type Before } from './broadcast-offer.js';
import { broadcastMailKey, topicOf, type Broadcast } from './broadcast.js';
import { armOfWords, drawing, endOf, hasHours, isTimed, type Drawn } from './split.js';
import type { SplitDecision } from './split-results.js';
import { DAY_MS, MINUTE_MS } from '../values/time-units.js';
import { opensAt, WHOLE_WEEK, type OpenHours } from '../values/week-hours.js';
import { instantOfLocalMs } from '../values/zoned-time.js';
import { keptHours } from './kept-hours.js';
import {
  AT_ONCE,
  clockOf,
  dueAfterPause,
  localMs,
  mailTime,
  SOON_BEHIND_MS,
  spreadOffsetMs,
  timingAt,
  type MailTime,
} from './timing.js';

/** By column, one entry for each in every column. */
export interface Recipients {
  /** Ascending. */
  ids: string[];
  emails: string[];
  emailKeys: string[];
  timeZones: (string | null)[];
}

/** By slug and reader, what earlier mails have told them about an offer. */
type PromisedBefore = ReadonlyMap<string, ReadonlyMap<string, Promised>>;

/**
 * The mails of a broadcast to some of its recipients, of whom the first is number `position`, and what there is to count.
 * Of a split test, those who are not part of it get a mail that is held, so that the audience stays as it was frozen, and
 * those who are held out one that is never sent. `now`: when `promised` was read.
 */
export function broadcastBatch(
  broadcast: Broadcast,
  { ids, emails, emailKeys, timeZones }: Recipients,
  position: number,
  before?: { promised: PromisedBefore; now: Date },
): { batch: MailBatch; withoutZone: number; hourPassed: number } {
  const drawn = drawnOf(broadcast, ids);
  const times = timesOf(broadcast, { timeZones, drawn }, position);
  const { shared, places } = byClock(
    broadcast,
    { shared: sharedOf(broadcast), places: drawn.map((one) => placeOf(broadcast, one)) },
    timeZones,
    (nth) => (typeof drawn[nth] === 'number' ? times?.[nth] : undefined),
  );
  if (before !== undefined) {
    const dueAt = (nth: number): Date => times?.[nth]?.dueAt ?? before.now;
    tellPromised(broadcast, { shared, places, ids, dueAt }, before);
  }
  return {
    batch: {
      shared,
      mails: {
        shared: places,
        subscriberIds: ids,
        enrollmentIds: ids.map(() => null),
        addresses: emails,
        emailKeys,
      },
      times:
        times === null && broadcast.split === null
          ? null
          : drawn.map((one, place) =>
              typeof one === 'number'
                ? timesInLedger(
                    behindPause(broadcast, times?.[place], { arm: one, timeZone: timeZones[place] ?? null }),
                  )
                : waitingTimes(broadcast, position + place),
            ),
    },
    withoutZone: times?.filter(({ fellBack }) => fellBack).length ?? 0,
    hourPassed: times?.filter(({ passed }, place) => passed && typeof drawn[place] === 'number').length ?? 0,
  };
}

/** A mail tells its reader no higher price, and no earlier end, than one before it: so it is theirs alone. */
function tellPromised(
  broadcast: Broadcast,
  {
    shared,
    places,
    ids,
    dueAt,
  }: { shared: SharedMail[]; places: number[]; ids: readonly string[]; dueAt: (nth: number) => Date },
  { promised, now }: { promised: PromisedBefore; now: Date },
): void {
  for (const [nth, id] of ids.entries()) {
    const place = places[nth] ?? -1;
    const mail = shared[place];
    const offer = broadcast.offers?.find((one) => one.place === (mail?.arm ?? 0));
    const own = offer && promised.get(offer.snapshot.slug)?.get(id);
    if (mail === undefined || own === undefined || mail.heldFor !== undefined) continue;
    const before = { promised: own, at: later(now, dueAt(nth)) };
    places[nth] = shared.push({ ...mail, data: dataOf(broadcast, mail.arm ?? 0, before) }) - 1;
  }
}

/** 0 without a test. */
function drawnOf({ id, split }: Broadcast, subscriberIds: readonly string[]): Drawn[] {
  const draw = split === null ? () => 0 : drawing({ id, split });
  return subscriberIds.map(draw);
}

/** Each arm has its place among the shared mails; behind them come that of the rest and that of the holdout. */
function placeOf({ split }: Broadcast, drawn: Drawn): number {
  if (typeof drawn === 'number') return drawn;
  return (split?.arms.length ?? 0) + (drawn === HOLDOUT ? 1 : 0);
}

/**
 * Where mails go at an hour of the readers, the shared ones once for each clock, and the place of each recipient's among them.
 * Those that keep no hours have all of the week: by that the ledger knows their clock, should it change before they go. So have
 * those that the owner wants at once where it is night.
 */
function byClock(
  broadcast: Broadcast,
  given: { shared: SharedMail[]; places: number[] },
  timeZones: readonly (string | null)[],
  timeOf: (nth: number) => MailTime | undefined,
): { shared: SharedMail[]; places: number[] } {
  const local = broadcast.timing?.local ?? null;
  const kept = keptHours(broadcast);
  if (local === null || (kept === null && local.timezone !== undefined)) return given;
  const shared: SharedMail[] = [];
  const known = new Map<string, number>();
  const places = given.places.map((place, nth) => {
    const mail = given.shared[place];
    const { zone: timeZone } = clockOf(local, timeZones[nth] ?? null);
    const spans =
      kept === null || isWantedAtNight(broadcast, { spans: kept, timeZone }, timeOf(nth)) ? WHOLE_WEEK : kept;
    const name = `${place} ${timeZone} ${spans === kept}`;
    const before = known.get(name);
    if (before !== undefined || mail === undefined) return before ?? -1;
    const made = shared.push({ ...mail, hours: { spans, timeZone } }) - 1;
    known.set(name, made);
    return made;
  });
  return { shared, places };
}

/** Not what is past its hour because nothing ran when it was to begin. */
function isWantedAtNight(
  broadcast: Broadcast,
  hours: OpenHours,
  time: Pick<MailTime, 'passed' | 'dueAt'> | undefined,
): boolean {
  const local = broadcast.timing?.local ?? null;
  if (local?.ifPassed !== 'send' || time?.passed !== true) return false;
  const isByWish = instantOfLocalMs(localMs(local.atLocal), hours.timeZone) < beginOf(broadcast).getTime();
  return isByWish && opensAt(hours, time.dueAt) !== null;
}

function sharedOf(broadcast: Broadcast): SharedMail[] {
  const { id, templateId, sender, scheduledAt, createdAt, armTemplateIds, priority } = broadcast;
  const expiresAt = endOf(broadcast);
  const before = { promised: null, at: begunAt(broadcast) };
  const mail: SharedMail = {
    class: 'marketing',
    kind: 'broadcast',
    dedupeKey: broadcastMailKey(id),
    funnelKey: topicOf(broadcast),
    broadcastId: id,
    templateId,
    data: armTemplateIds === null ? dataOf(broadcast, 0, before) : {},
    sender,
    priority,
    // Not the present: a broadcast that is late because nothing ran meets the rule for overdue mails.
    dueAt: scheduledAt ?? createdAt,
    ...(expiresAt === null ? {} : { expiresAt }),
  };
  if (armTemplateIds === null) return [mail];
  const arms = armTemplateIds.map((armTemplateId, arm) => ({
    ...{ ...mail, templateId: armTemplateId, arm },
    data: dataOf(broadcast, arm, before),
  }));
  return [...arms, { ...mail, heldFor: WAITS_FOR_TEST }, { ...mail, withheldFor: HELD_OUT }];
}

/** What a mail with the words of an arm (0 without a test) prints beside what every mail does. */
export function dataOf(
  { offers }: Pick<Broadcast, 'offers'>,
  arm: number,
  before: Before,
): Record<string, unknown> {
  const offer = offers?.find(({ place }) => place === arm);
  return offer === undefined ? {} : offerData(offer, before);
}

/** What has no end yet before it has begun counts from when it was written. */
export function begunAt({ startedAt, createdAt }: Pick<Broadcast, 'startedAt' | 'createdAt'>): Date {
  return startedAt ?? createdAt;
}

/** A mail tells what holds when it goes: not before it is due. */
export function later(one: Date, other: Date): Date {
  return one > other ? one : other;
}

/** Null when all are due at the same instant, which then crosses to the database once. */
function timesOf(
  broadcast: Broadcast,
  { timeZones, drawn }: { timeZones: readonly (string | null)[]; drawn: readonly Drawn[] },
  position: number,
): MailTime[] | null {
  const timing = broadcast.timing ?? AT_ONCE;
  const { split } = broadcast;
  if (timing.local === null && timing.spreadMinutes === 0 && (split === null || !isTimed(split))) return null;
  const moments = { scheduledAt: beginOf(broadcast), startedAt: broadcast.startedAt ?? beginOf(broadcast) };
  const ofArms = split?.arms.map((arm) => timingAt(timing, arm)) ?? [];
  return timeZones.map((timeZone, place) =>
    mailTime(ofArms[Number(drawn[place])] ?? timing, moments, { timeZone, position: position + place }),
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
 * When a mail that has waited for the test is due: as if the broadcast had begun with the decision, at the hour of the arm
 * that goes to the rest. `dueAt`: its place in the spread, counted from the beginning.
 */
export function timesAfterTest(
  broadcast: Pick<Broadcast, 'startedAt' | 'createdAt' | 'timing' | 'decideAt' | 'split'> & {
    decision: Pick<SplitDecision, 'arm' | 'at'>;
  },
  { timeZone, dueAt }: { timeZone: string | null; dueAt: Date },
): MailTimes {
  const { decision, decideAt, startedAt, createdAt } = broadcast;
  const timing = timingAt(broadcast.timing ?? AT_ONCE, broadcast.split?.arms[decision.arm]);
  const offsetMs = dueAt.getTime() - (startedAt ?? createdAt).getTime();
  const timeFrom = (begin: Date): MailTime =>
    mailTime(
      { ...timing, spreadMinutes: 0 },
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

/** A mail with the words of an arm. */
interface ArmMail {
  /** Its mark in the ledger; null: of the rest. */
  arm: number | null;
  timeZone: string | null;
  dueAt: Date;
}

/**
 * When a mail goes that is given another arm's words at `now`: at the next hour of that arm where it has one, else when it
 * was due all the same. One that was given others before has waited for their hour: it keeps it, else it could come days
 * late where arms are stopped one after the other.
 */
export function timeOfArm(
  broadcast: Pick<Broadcast, 'timing' | 'split'>,
  arm: number,
  { arm: marked, timeZone, dueAt, now }: ArmMail & { now: Date },
): Date {
  const wasGiven = marked !== null && marked < 0;
  return wasGiven ? dueAt : (nextHourOf(broadcast, arm, { timeZone, now }) ?? dueAt);
}

type AfterPause = Pick<Broadcast, 'timing' | 'split' | 'decision' | 'pausedAt'>;

/**
 * When a mail goes that has come up in a pause which is over at `now`, of a broadcast with an hour: at the next such hour, of
 * its arm where arms have their own, but sooner rather than never where it expires before that. Null where it has none, or
 * may go at once: it is not long behind, or the owner said so of those whose hour has passed.
 */
function hourAfterPause(
  broadcast: AfterPause,
  { arm, timeZone, dueAt, expiresAt, now }: ArmMail & { expiresAt: Date | null; now: Date },
): Date | null {
  const own = arm === null ? (broadcast.decision?.arm ?? 0) : armOfWords(arm);
  const hour =
    nextHourOf(broadcast, own, { timeZone, now }) ?? nextSameHour(broadcast, own, { timeZone, dueAt, now });
  return hour && dueAfterPause({ dueAt, expiresAt }, hour.getTime() - dueAt.getTime());
}

/** When a mail that a pause held goes; one that is not to go at all behind its hour ends with it. `shiftMs`: as of the others. */
export function timesAfterPause(
  broadcast: AfterPause,
  mail: ArmMail & { expiresAt: Date | null; now: Date; shiftMs: number },
): { dueAt: Date; expiresAt: Date | null } {
  const { dueAt, expiresAt, shiftMs } = mail;
  const isSkipped = broadcast.split === null && broadcast.timing?.local?.ifPassed === 'skip';
  if (isSkipped && isLongBehind(broadcast, mail)) return { dueAt, expiresAt: dueAt };
  return { dueAt: hourAfterPause(broadcast, mail) ?? dueAfterPause(mail, shiftMs), expiresAt };
}

/** The same of a mail with an hour that is written only behind a pause in the midst of planning: it came up in it, as others did. */
function behindPause(
  broadcast: Broadcast,
  time: MailTime | undefined,
  { arm, timeZone }: Pick<ArmMail, 'arm' | 'timeZone'>,
): MailTime | undefined {
  const { startedAt, letGoAt, timing } = broadcast;
  if (time === undefined || time.tooLate || startedAt === null || letGoAt === null) return time;
  const { dueAt } = time;
  if ((timing?.local ?? null) === null || startedAt >= letGoAt || dueAt >= letGoAt) return time;
  const mail = { arm, timeZone, dueAt, expiresAt: endOf(broadcast), now: letGoAt, shiftMs: 0 };
  const after = timesAfterPause(broadcast, mail);
  return { ...time, dueAt: after.dueAt, tooLate: after.expiresAt?.getTime() === dueAt.getTime() };
}

/** By the pause: what its pace or a quota had made late before is still wanted. */
function isLongBehind(
  { pausedAt }: Pick<Broadcast, 'pausedAt'>,
  { dueAt, now }: { dueAt: Date; now: Date },
): boolean {
  return now.getTime() - later(dueAt, pausedAt ?? dueAt).getTime() > SOON_BEHIND_MS;
}

/** On a later day, as long behind the hour as the spread had it and the delay of its arm. */
function nextSameHour(
  broadcast: AfterPause,
  arm: number,
  { timeZone, dueAt, now }: { timeZone: string | null; dueAt: Date; now: Date },
): Date | null {
  const { timing, split } = broadcast;
  const local = timing?.local ?? null;
  if (timing === null || local === null || local.ifPassed !== 'nextDay') return null;
  if (!isLongBehind(broadcast, { dueAt, now })) return null;
  const from = (at: Date): number =>
    mailTime(
      { local, spreadMinutes: 0 },
      { scheduledAt: at, startedAt: at },
      { timeZone, position: 0 },
    ).dueAt.getTime();
  const spreadMs = timing.spreadMinutes * MINUTE_MS;
  const delayMs = (split?.arms[arm]?.delayMinutes ?? 0) * MINUTE_MS;
  const undelayed = dueAt.getTime() - delayMs;
  const behindMs = undelayed - from(new Date(undelayed - spreadMs));
  // Days of a delay are over by now; what is left of it sets the arms apart still.
  return new Date(from(now) + Math.min(Math.max(behindMs, 0), spreadMs) + (delayMs % DAY_MS));
}

/** Null where arms have no hours. */
function nextHourOf(
  { timing, split }: Pick<Broadcast, 'timing' | 'split'>,
  arm: number,
  { timeZone, now }: { timeZone: string | null; now: Date },
): Date | null {
  if (timing === null || split === null || !hasHours(split)) return null;
  const moments = { scheduledAt: now, startedAt: now };
  return mailTime(timingAt(timing, split.arms[arm]), moments, { timeZone, position: 0 }).dueAt;
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
