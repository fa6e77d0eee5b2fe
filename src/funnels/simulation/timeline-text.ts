import { moneyToText, type Money } from '../../values/money.js';
import { localClockMs, weekdayIndex, WEEKDAYS } from '../../values/zoned-time.js';
import { CREDIT_NOTE } from './virtual-refunds.js';
import type {
  BroadcastOutcome,
  PersonTimeline,
  Simulation,
  SimulationSummary,
  TimelineEntry,
} from './timeline.js';

/**
 * The simulation for people, and as an expectation to compare with: people of one persona with the same timeline stand
 * together. Times are those of the person's clock; who has no zone is shown in UTC.
 */
export function simulationText(simulation: Simulation): string {
  const broadcasts = simulation.broadcasts.map((one) => `  ${broadcastText(one)}`);
  return [
    headline(simulation),
    ...blocksOf(simulation),
    ...(broadcasts.length === 0 ? [] : [['Broadcasts', ...broadcasts].join('\n')]),
    summaryText(simulation.summary),
  ].join('\n\n');
}

function broadcastText(outcome: BroadcastOutcome): string {
  const { broadcast, beganAt, state, recipients, decision, stoppedArms } = outcome;
  const by = stoppedArms.length > 0 && decision === null && state === 'paused' ? '' : ' by the owner';
  const stopped = state === 'paused' || state === 'cancelled' ? `, ${state}${by}` : '';
  if (beganAt === null) return `${broadcast}: does not begin in this time${stopped}`;
  const test = decision === null ? '' : `. ${decision.at} ${decision.text}`;
  const rails = stoppedArms.map((arm) => `. Arm ${arm.toUpperCase()} is stopped by a guard rail`).join('');
  return `${broadcast}: begins ${beganAt}, ${count(recipients, 'recipient')}${stopped}${rails}${test}`;
}

export function summaryText({
  people,
  mails,
  mailsByStep,
  purchases,
  refunds,
  income,
  commissions,
  upsells,
  ...ends
}: SimulationSummary): string {
  const earned = amounts(income, 'no income');
  const steps = mailsByStep.map(({ sequence, step, mails: count }) =>
    sequence === null ? `${count} ${step}` : `${count} ${step} of ${sequence}`,
  );
  return [
    `In all: ${count(people, 'person', 'people')}, ${count(mails, 'mail')}, ${count(purchases, 'purchase')}, ${refunds === 0 ? '' : `${count(refunds, 'refund')}, `}${earned}${commissions.length === 0 ? '' : `, ${amounts(commissions)} of it for affiliates`}`,
    ...(upsells.shown === 0
      ? []
      : [
          `  upsells: ${upsells.shown} shown, ${upsells.taken} taken, ${upsells.declined} declined, ${amounts(upsells.income, 'no income')}`,
        ]),
    `  sequences: ${ends.completed} finished, ${ends.exited} left; ${ends.unsubscribed} unsubscribed`,
    ...(steps.length === 0 ? [] : [`  mails: ${steps.join(', ')}`]),
  ].join('\n');
}

function amounts(money: readonly Money[], none = ''): string {
  return money.length === 0 ? none : money.map(moneyToText).join(' and ');
}

type Name = (one: { sequence?: string; step: string }) => string;
type Time = (at: string) => string;

export function headline({ funnel, start, days, people }: Simulation): string {
  return `${funnel}: ${count(people.length, 'person', 'people')} from ${start} for ${count(days, 'day')}`;
}

function blocksOf({ funnel, people }: Simulation): string[] {
  const groups = new Map<string, { first: PersonTimeline; numbers: number[]; lines: string }>();
  for (const person of people) {
    const lines = person.timeline
      .map((entry) => entryLine(entry, person.timeZone ?? 'UTC', funnel))
      .join('\n');
    const name = `${person.persona} ${person.timeZone ?? ''}\n${lines}`;
    const group = groups.get(name) ?? { first: person, numbers: [], lines };
    group.numbers.push(person.number);
    groups.set(name, group);
  }
  return [...groups.values()].map(({ first, numbers, lines }) => {
    const zone = first.timeZone ?? 'time zone not known, shown in UTC';
    return `${first.persona} ${spans(numbers)} (${zone})\n${lines === '' ? '  nothing happens' : lines}`;
  });
}

function entryLine(entry: TimelineEntry, zone: string, funnel: string): string {
  return `  ${localText(entry.at, zone)}  ${entryText(entry, zone, funnel)}`;
}

function entryText(entry: TimelineEntry, zone: string, funnel: string): string {
  const name: Name = ({ sequence, step }) =>
    sequence === undefined ? `of broadcast ${step}` : sequence === funnel ? step : `${sequence}/${step}`;
  const time = (at: string): string => localText(at, zone);
  return changeText(entry, time) ?? mailText(entry, name, time) ?? placeText(entry, name, time);
}

/** What people do, or is done to them. */
function changeText(entry: TimelineEntry, time: Time): string | undefined {
  if (entry.what === 'signed up') return 'signs up';
  if (entry.what === 'confirmed') return 'confirms the address';
  if (entry.what === 'unsubscribed') return 'unsubscribes';
  if (entry.what === 'became affiliate') return 'becomes an affiliate';
  if (entry.what === 'event') return `event ${entry.event}${entry.key === undefined ? '' : ` ${entry.key}`}`;
  if (entry.what === 'tagged') return `is tagged ${entry.tag}`;
  if (entry.what === 'untagged') return `loses the tag ${entry.tag}`;
  if (entry.what === 'listed') return `is on the list ${entry.list}`;
  if (entry.what === 'unlisted') return `is taken off the list ${entry.list}`;
  if (entry.what === 'paused') return `wants no mails until ${time(entry.until)}`;
  if (entry.what === 'pause over') return 'gets mails again';
  if (entry.what === 'changed') return `fields change: ${JSON.stringify(entry.fields)}`;
  if (entry.what === 'member')
    return `is a member by ${entry.product} ${entry.until === null ? 'for good' : `until ${time(entry.until)}`}`;
  if (entry.what === 'membership over') return `is no member by ${entry.product} any more: ${entry.state}`;
  return shopText(entry, time);
}

function shopText(entry: TimelineEntry, time: Time): string | undefined {
  if (entry.what === 'bought') {
    const by = entry.upsell === undefined ? '' : ` (${entry.upsell})`;
    return `buys ${entry.products.join(' and ')} for ${moneyToText(entry.total)}${by}`;
  }
  if (entry.what === 'refunded')
    return `gets ${moneyToText(entry.total)} back for ${entry.products.length === 0 ? `a part of ${entry.offer}, and keeps it` : entry.products.join(' and ')}`;
  if (entry.what === 'shown') return `${entry.kind} ${entry.offer} for ${moneyToText(entry.price)}`;
  if (entry.what === 'declined') return `declines ${entry.offer}`;
  if (entry.what === 'over') return `${entry.offer} is not on offer any more: ${entry.reason}`;
  if (entry.what === 'commission')
    return `earns ${entry.affiliate} ${moneyToText(entry.amount)}, due ${time(entry.dueAt)}`;
  if (entry.what === 'clawed back') return `${entry.affiliate} loses ${moneyToText(entry.amount)} again`;
  return undefined;
}

function mailText(entry: TimelineEntry, name: Name, time: Time): string | undefined {
  if (entry.what === 'mail') {
    const { kind, sequence = '', step = '', template = '' } = entry;
    if (kind === 'sequence') return `mail ${name({ sequence, step })} (${template})`;
    if (kind === 'broadcast') return `mail ${name({ step })} (${template})`;
    if (kind !== 'receipt') return 'mail with the confirmation link';
    return template === CREDIT_NOTE ? 'mail with the credit note' : 'mail with the receipt';
  }
  if (entry.what === 'cancelled') return `mail ${name(entry)} is not sent: ${entry.reason}`;
  if (entry.what === 'held')
    return `mail ${name(entry)} waits${entry.until === null ? '' : ` until ${time(entry.until)}`}: ${entry.reason}`;
  if (entry.what === 'opened' || entry.what === 'clicked') {
    const mail = entry.sequence === undefined ? `the mail ${name(entry)}` : name(entry);
    return entry.what === 'opened' ? `opens ${mail}` : `clicks in ${mail}`;
  }
  if (entry.what !== 'offer') return undefined;
  const until = entry.until === null ? '' : ` until ${time(entry.until)}`;
  return `offer ${entry.offer} for ${moneyToText(entry.price)}${until}`;
}

function placeText(entry: TimelineEntry, name: Name, time: Time): string {
  if (entry.what === 'joined') return `joins ${entry.sequence}`;
  if (entry.what === 'completed') return `finishes ${entry.sequence}`;
  if (entry.what === 'exited') return `leaves ${entry.sequence}: ${entry.reason}`;
  if (entry.what === 'step') return `${name(entry)}: ${entry.does ?? entry.outcome}`;
  if (entry.what === 'stuck') return `cannot go on at ${name(entry)}: ${entry.reason}`;
  if (entry.what !== 'waits') return entry.what;
  const hits = entry.watches.length === 0 ? '' : `, or for a hit on ${entry.watches.join(', ')}`;
  return `waits at ${name(entry)} until ${time(entry.until)}${hits}`;
}

/** `Wed 2026-03-04 09:30`, with seconds where there are any. */
function localText(at: string, zone: string): string {
  const local = localClockMs(Date.parse(at), zone);
  const text = new Date(local).toISOString();
  const day = WEEKDAYS[weekdayIndex(local)] ?? '';
  const seconds = text.slice(17, 19) === '00' ? '' : text.slice(16, 19);
  return `${day[0]?.toUpperCase() ?? ''}${day.slice(1)} ${text.slice(0, 10)} ${text.slice(11, 16)}${seconds}`;
}

/** `1-3, 5`. */
function spans(numbers: readonly number[]): string {
  const parts: { from: number; to: number }[] = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last !== undefined && last.to === number - 1) last.to = number;
    else parts.push({ from: number, to: number });
  }
  return parts.map(({ from, to }) => (from === to ? String(from) : `${from}-${to}`)).join(', ');
}

function count(value: number, one: string, many = `${one}s`): string {
  return `${value} ${value === 1 ? one : many}`;
}
