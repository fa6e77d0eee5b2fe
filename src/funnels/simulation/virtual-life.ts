import type { FrequencyCap } from '../../delivery/pacing/frequency-cap.js';
import { Agenda, earliest } from './agenda.js';
import {
  actionsAfterMail,
  actionsFromSignUp,
  emailKeyOf,
  timeIn,
  type Actor,
  type PlannedAction,
} from './persona-script.js';
import { pauseDays, type Persona } from './personas.schemas.js';
import { mailsInOrder, type PersonTimeline, type TimelineEntry } from './timeline.js';
import { advanceVirtual, setFields } from './virtual-advance.js';
import { endMemberships, nextMembershipEnd } from './virtual-memberships.js';
import { beginPause, endDuePause, endPause } from './virtual-pauses.js';
import { purchase } from './virtual-purchases.js';
import { arrived, changed, happened, join, leaveAll, metIn, readMail } from './virtual-reactions.js';
import { activeOf, emptyRecord, type VirtualMail } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { nextMailAt, sendVirtual } from './virtual-sending.js';
import { placeOf, type VirtualFunnels } from './virtual-sequences.js';
import { transactional } from './virtual-shop.js';

/** How long it takes people to find the mail and press its button, where the persona does not say. */
const CONFIRMS_AFTER = '1 minute';

/** One person on the virtual clock. */
export interface Life extends PersonTimeline {
  run: VirtualRun;
  arrivesAt: Date;
  /** Lives on, up to what happens before `stop`. */
  goTo(this: void, stop: Date): void;
  /** What they do themselves up to and at `now`, of which nothing comes yet. */
  act(this: void, now: Date): void;
}

interface Birth {
  personId: string;
  timeZone: string | null;
  start: Date;
  cap: FrequencyCap | null;
  pausedBroadcasts: ReadonlySet<string>;
}

export function lifeOf(
  funnels: VirtualFunnels,
  actor: Actor,
  { personId, timeZone, start, cap, pausedBroadcasts }: Birth,
): Life {
  const { persona, number } = actor;
  const record = emptyRecord({ personId, timeZone, status: 'pending' });
  Object.assign(record, {
    ...{ isAffiliate: persona.isAffiliate, trackingConsent: persona.trackingConsent },
    ...{ email: emailKeyOf(persona, number), name: persona.displayName ?? null },
    ...{ locale: persona.locale ?? null, lists: new Set(persona.lists) },
  });
  for (const tag of persona.tags) record.tags.add(tag);
  setFields(record.fields, persona.fields);
  const timeline: TimelineEntry[] = [];
  const tell: VirtualRun['tell'] = (at, happening) => {
    timeline.push({ at: at.toISOString(), ...happening });
  };
  const run: VirtualRun = { funnels, record, toldWaits: new Map(), pausedBroadcasts, tell };
  const agenda = new Agenda();
  const arrivesAt = timeIn(actor, persona.joins, 'joins', start);
  agenda.add(arrivesAt, () => arrive(run, actor, { now: arrivesAt, agenda }));
  let [mails, ordered, lastAt] = [0, 0, start];
  const happen = (now: Date): void => {
    agenda.doAll(now);
    endDuePause(run, now);
    endMemberships(run, now);
    advanceVirtual(run, now);
    for (const mail of sendVirtual(run, now, cap)) {
      mails++;
      for (const planned of actionsAfterMail(actor, mail, mails)) addAction(run, agenda, planned, actor);
    }
    const moment = timeline.splice(ordered);
    timeline.push(...mailsInOrder(moment, (sequence, step) => placeOf(funnels, sequence, step)));
    ordered = timeline.length;
  };
  return {
    ...{ persona: persona.name, number, timeZone, timeline, run, arrivesAt },
    goTo: (stop) => {
      for (;;) {
        const next = earliest([
          ...[agenda.nextAt(), nextStepAt(run), nextMailAt(run)],
          ...[nextMembershipEnd(record), record.pausedUntil],
        ]);
        if (next === null || next >= stop) return;
        // A mail that was too late when it was planned is given up then, and not before.
        if (next > lastAt) lastAt = next;
        happen(lastAt);
      }
    },
    act: (now) => {
      if (now > lastAt) lastAt = now;
      agenda.doAll(now);
    },
  };
}

/** The sign-up, as the form of the funnel has it. */
function arrive(run: VirtualRun, actor: Actor, { now, agenda }: { now: Date; agenda: Agenda }): void {
  const { persona } = actor;
  const { record } = run;
  record.arrivedAt = now;
  for (const planned of actionsFromSignUp(actor, now)) addAction(run, agenda, planned, actor);
  if (!persona.signsUp) {
    record.status = 'active';
    return;
  }
  record.signedUp = true;
  run.tell(now, { what: 'signed up' });
  const { optIn, funnel } = run.funnels.form;
  record.touchedAt = persona.affiliate === undefined ? null : now;
  if (optIn === 'single') {
    confirm(run, persona, now);
    return;
  }
  record.mails.push(transactional('confirmation', funnel, now));
  if (persona.confirms === 'never') return;
  const at = timeIn(actor, persona.confirms ?? CONFIRMS_AFTER, 'confirms', now);
  agenda.add(at, () => confirm(run, persona, at));
}

function confirm(run: VirtualRun, { affiliate }: Persona, now: Date): void {
  const { record, funnels } = run;
  // Who has left since is not put back by an old link.
  if (record.status !== 'pending') return;
  record.status = 'active';
  record.confirmedAt = now;
  record.affiliate = affiliate ?? record.affiliate;
  if (funnels.form.optIn === 'double') run.tell(now, { what: 'confirmed' });
  // As `ReferralsService.keep`.
  for (const whose of affiliate === undefined ? [] : ['any', affiliate])
    happened(run, { kind: 'affiliate', whose }, now);
  join(run, funnels.form.funnel, now);
  arrived(run, now);
}

function addAction(run: VirtualRun, agenda: Agenda, { at, action, mail }: PlannedAction, actor: Actor): void {
  agenda.add(at, () => {
    if ('opens' in action) hit(run, mail, 'opened', at);
    else if ('clicks' in action) hit(run, mail, 'clicked', at);
    else if ('buys' in action) purchase(run, { agenda, actor }, action, at);
    else if ('unsubscribes' in action) unsubscribe(run, at);
    else if ('becomesAffiliate' in action) becomeAffiliate(run, at);
    else if ('event' in action) tellEvent(run, action, at);
    else if ('pauses' in action) beginPause(run, pauseDays(action.pauses) ?? 7, at);
    else if ('resumes' in action) endPause(run, at);
    else if ('list' in action || 'unlist' in action) changeList(run, action, at);
    else changePerson(run, action, at);
  });
}

/** As `EnrollmentsQueries.noticeHits` and `HitSignalsService`: who waits for it is looked at now, and it may end a sequence. */
function hit(run: VirtualRun, mail: VirtualMail | null, what: 'opened' | 'clicked', now: Date): void {
  if (mail === null || mail.step === null || mail.sentAt === null) return;
  const { sequence, step, enrollmentId } = mail;
  // Whoever clicked has opened.
  const news = what === 'clicked' ? (['clicked', 'opened'] as const) : (['opened'] as const);
  const firsts = news.filter((kind) => !mail[kind]);
  for (const kind of news) mail[kind] = true;
  mail.hits.push({ kind: what === 'opened' ? 'open' : 'click', at: now });
  const sentAt = mail.sentAt.toISOString();
  run.tell(now, { what, ...(sequence === null ? {} : { sequence }), step, sentAt });
  // No step waits for what is done with a broadcast; segments ask about it.
  if (sequence === null) return;
  for (const one of activeOf(run.record)) {
    const waits = one.id === enrollmentId && one.watches?.includes(step) === true;
    if (waits && one.nextAt !== null && one.nextAt > now) one.nextAt = now;
  }
  if (enrollmentId !== null) for (const kind of news) metIn(run, enrollmentId, { kind, step }, now);
  for (const kind of firsts) readMail(run, { kind, mail }, now);
}

function unsubscribe(run: VirtualRun, now: Date): void {
  if (run.record.status === 'unsubscribed') return;
  run.record.status = 'unsubscribed';
  run.tell(now, { what: 'unsubscribed' });
  leaveAll(run, 'unsubscribed', now);
}

function becomeAffiliate(run: VirtualRun, now: Date): void {
  if (run.record.isAffiliate) return;
  run.record.isAffiliate = true;
  run.tell(now, { what: 'became affiliate' });
  happened(run, { kind: 'affiliate', whose: 'self' }, now);
}

/** As `EventsService.tell`: with a key, the same event is told once. */
function tellEvent(
  run: VirtualRun,
  { event, key }: { event: string; key?: string | undefined },
  now: Date,
): void {
  const { events } = run.record;
  if (key !== undefined && events.some((known) => known.name === event && known.key === key)) return;
  events.push({ name: event, key, at: now });
  run.tell(now, { what: 'event', event, ...(key === undefined ? {} : { key }) });
  happened(run, { kind: 'event', event }, now, {
    entryKey: key === undefined ? undefined : `${event} ${key}`,
  });
}

function changeList(run: VirtualRun, action: { list: string } | { unlist: string }, now: Date): void {
  const { record, tell } = run;
  if ('list' in action) {
    const { list } = action;
    const isNew = !record.lists.has(list);
    record.lists.add(list);
    tell(now, { what: 'listed', list });
    if (isNew) happened(run, { kind: 'list', list }, now);
    return;
  }
  const list = action.unlist;
  const wasOn = record.lists.delete(list);
  tell(now, { what: 'unlisted', list });
  if (wasOn) happened(run, { kind: 'unlisted', list }, now);
}

/** Changes from outside, by the API or the owner. */
function changePerson(
  run: VirtualRun,
  action: { tag: string } | { untag: string } | { set: Record<string, string | number | boolean | null> },
  now: Date,
): void {
  const { record } = run;
  if ('tag' in action) {
    record.tags.add(action.tag);
    run.tell(now, { what: 'tagged', tag: action.tag });
    happened(run, { kind: 'tag', tag: action.tag }, now);
    return;
  }
  if ('untag' in action) {
    const wasThere = record.tags.delete(action.untag);
    run.tell(now, { what: 'untagged', tag: action.untag });
    if (wasThere) happened(run, { kind: 'untagged', tag: action.untag }, now);
  } else {
    const before = { ...record.fields };
    setFields(record.fields, action.set);
    run.tell(now, { what: 'changed', fields: action.set });
    changed(run, now, { before });
  }
}

function nextStepAt({ record }: VirtualRun): Date | null {
  return earliest(activeOf(record).map(({ nextAt }) => nextAt));
}
