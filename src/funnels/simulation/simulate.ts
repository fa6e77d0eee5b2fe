import type { FrequencyCap } from '../../delivery/pacing/frequency-cap.js';
import { canonicalTimeZone } from '../../values/zoned-time.js';
import type { FunnelDefinition } from '../funnel.schemas.js';
import {
  actionsAfterMail,
  actionsFromSignUp,
  timeIn,
  type Actor,
  type PlannedAction,
} from './persona-script.js';
import type { Persona, Personas, VirtualBroadcast } from './personas.schemas.js';
import { Agenda, earliest } from './agenda.js';
import {
  mailsInOrder,
  summaryOf,
  type PersonTimeline,
  type Simulation,
  type TimelineEntry,
} from './timeline.js';
import { advanceVirtual, setFields } from './virtual-advance.js';
import { endMemberships, nextMembershipEnd } from './virtual-memberships.js';
import {
  arrived,
  changed,
  happened,
  join,
  leaveAll,
  lookAgain,
  metIn,
  readMail,
} from './virtual-reactions.js';
import { activeOf, emptyRecord, type VirtualMail, type VirtualRecord } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { nextMailAt, planBroadcast, sendVirtual } from './virtual-sending.js';
import { placeOf, virtualFunnels, type VirtualFunnels } from './virtual-sequences.js';
import { purchase } from './virtual-purchases.js';
import { transactional } from './virtual-shop.js';

const DAY_MS = 86_400_000;
/** How long it takes people to find the mail and press its button, where the persona does not say. */
const CONFIRMS_AFTER = '1 minute';

export interface SimulationOrder {
  /** The first is the one that people sign up with; its steps may lead to the others. */
  definitions: readonly [FunnelDefinition, ...FunnelDefinition[]];
  personas: Personas;
  start: Date;
  days: number;
  /** By which split tests draw; made from the seed when it is left out. */
  personId?: (persona: string, number: number) => string;
}

/** Everything about one person at the end: the timeline, and the rows a database would hold. */
export interface SimulatedPerson extends PersonTimeline {
  record: VirtualRecord;
}

/**
 * The way of every persona through the funnels on a virtual clock, from `start` for `days` days of 24 hours, by the code
 * that runs real sequences. Writes nothing and asks nobody: the same order gives the same timeline. Mails go the moment
 * they are due. Throws `SIMULATION_INVALID`.
 */
export function simulate(order: SimulationOrder): Simulation {
  const people = simulatePeople(order).map(({ persona, number, timeZone, timeline }) => ({
    ...{ persona, number, timeZone, timeline },
  }));
  const { definitions, start, days } = order;
  return {
    funnel: definitions[0].funnel,
    start: start.toISOString(),
    days,
    people,
    summary: summaryOf(people),
  };
}

export function simulatePeople({
  definitions,
  personas,
  start,
  days,
  personId = (persona, number) => `${personas.seed} ${persona} ${number}`,
}: SimulationOrder): SimulatedPerson[] {
  const funnels = virtualFunnels(definitions);
  const until = new Date(start.getTime() + days * DAY_MS);
  const { frequencyCap: cap, seed, broadcasts } = personas;
  const ruled = cap === undefined ? null : { perDay: cap.perDay ?? null, perWeek: cap.perWeek ?? null };
  return personas.personas.flatMap((persona) =>
    Array.from({ length: persona.count }, (_, index) => {
      const number = index + 1;
      const timeZone = zoneOf(persona, index);
      const actor: Actor = { persona, number, seed: String(seed), clockZone: timeZone ?? 'UTC' };
      const id = personId(persona.name, number);
      return live(funnels, actor, { personId: id, timeZone, start, until, cap: ruled, broadcasts });
    }),
  );
}

interface Life {
  personId: string;
  timeZone: string | null;
  start: Date;
  until: Date;
  cap: FrequencyCap | null;
  broadcasts: readonly VirtualBroadcast[];
}

function live(
  funnels: VirtualFunnels,
  actor: Actor,
  { personId, timeZone, start, until, cap, broadcasts }: Life,
): SimulatedPerson {
  const { persona, number } = actor;
  const record = emptyRecord({ personId, timeZone, status: persona.signsUp ? 'pending' : 'active' });
  record.isAffiliate = persona.isAffiliate;
  for (const tag of persona.tags) record.tags.add(tag);
  setFields(record.fields, persona.fields);
  const timeline: TimelineEntry[] = [];
  const tell: VirtualRun['tell'] = (at, happening) => {
    timeline.push({ at: at.toISOString(), ...happening });
  };
  const run: VirtualRun = { funnels, record, toldWaits: new Map(), tell };
  const agenda = new Agenda();
  const joinsAt = timeIn(actor, persona.joins, 'joins', start);
  agenda.add(joinsAt, () => arrive(run, actor, { now: joinsAt, agenda }));
  for (const broadcast of broadcasts) {
    const at = new Date(broadcast.at);
    if (at >= start) agenda.add(at, () => planBroadcast(run, broadcast, at));
  }
  let mails = 0;
  for (;;) {
    const told = timeline.length;
    const now = earliest([agenda.nextAt(), nextStepAt(run), nextMailAt(run), nextMembershipEnd(record)]);
    if (now === null || now >= until) break;
    agenda.doAll(now);
    endMemberships(run, now);
    advanceVirtual(run, now);
    for (const mail of sendVirtual(run, now, cap)) {
      mails++;
      for (const planned of actionsAfterMail(actor, mail, mails)) addAction(run, agenda, planned, actor);
    }
    timeline.push(
      ...mailsInOrder(timeline.splice(told), (sequence, step) => placeOf(funnels, sequence, step)),
    );
  }
  return { persona: persona.name, number, timeZone, timeline, record };
}

/** The sign-up, as the form of the funnel has it. */
function arrive(run: VirtualRun, actor: Actor, { now, agenda }: { now: Date; agenda: Agenda }): void {
  const { persona } = actor;
  for (const planned of actionsFromSignUp(actor, now)) addAction(run, agenda, planned, actor);
  if (!persona.signsUp) return;
  run.tell(now, { what: 'signed up' });
  const { optIn } = run.funnels.form;
  run.record.touchedAt = persona.affiliate === undefined ? null : now;
  if (optIn === 'single') {
    confirm(run, persona, now);
    return;
  }
  run.record.mails.push(transactional('confirmation', now));
  if (persona.confirms === 'never') return;
  const at = timeIn(actor, persona.confirms ?? CONFIRMS_AFTER, 'confirms', now);
  agenda.add(at, () => confirm(run, persona, at));
}

function confirm(run: VirtualRun, { affiliate }: Persona, now: Date): void {
  const { record, funnels } = run;
  // Who has left since is not put back by an old link.
  if (record.status !== 'pending') return;
  record.status = 'active';
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
    else changePerson(run, action, at);
  });
}

/** As `EnrollmentsQueries.noticeHits` and `HitSignalsService`: who waits for it is looked at now, and it may end a sequence. */
function hit(run: VirtualRun, mail: VirtualMail | null, what: 'opened' | 'clicked', now: Date): void {
  if (mail === null || mail.sequence === null || mail.step === null || mail.sentAt === null) return;
  const { sequence, step, enrollmentId } = mail;
  const sentAt = mail.sentAt.toISOString();
  const isFirst = what === 'opened' ? !mail.opened : !mail.clicked;
  if (what === 'opened') mail.opened = true;
  else mail.clicked = true;
  run.tell(now, { what, sequence, step, sentAt });
  for (const one of activeOf(run.record)) {
    const waits = one.id === enrollmentId && one.watches?.includes(step) === true;
    if (waits && one.nextAt !== null && one.nextAt > now) one.nextAt = now;
  }
  if (enrollmentId !== null) metIn(run, enrollmentId, { kind: what, step }, now);
  if (isFirst) readMail(run, { kind: what, mail }, now);
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
    record.tags.delete(action.untag);
    run.tell(now, { what: 'untagged', tag: action.untag });
    lookAgain(run, now);
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

function zoneOf({ timeZone }: Persona, index: number): string | null {
  if (timeZone === undefined) return null;
  const name = typeof timeZone === 'string' ? timeZone : timeZone[index % timeZone.length];
  return name === undefined ? null : canonicalTimeZone(name);
}
