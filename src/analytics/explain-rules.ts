import { dataAt } from '../delivery/message/mail-data.js';
import { LEFT_LIST, OPTED_OUT } from '../delivery/message/state-reasons.js';
import { moneyToText, type Money } from '../values/money.js';
import { instantText, quoted, rule, type Rule } from './explanation.js';

export interface PersonFacts {
  status: string;
  /** Until when they want no marketing mail; null: no pause. */
  pausedUntil?: Date | null;
  /** The last decision about mails. */
  consent: { kind: string; at: Date; wording: string | null } | null;
}

export interface SuppressionFacts {
  scope: 'all' | 'marketing';
  reason: string;
  source: string;
  since: Date;
}

export interface BroadcastFacts {
  title: string;
  state: string;
  stateReason: string | null;
  scheduledAt: Date | null;
  startedAt: Date | null;
  plannedAt: Date | null;
}

const STATUS_TEXT: Readonly<Record<string, string>> = {
  active: 'is on the list',
  pending: 'has not confirmed the address yet',
  unsubscribed: 'has unsubscribed',
  bounced: 'is off the list because the address does not take mail',
  complained: 'is off the list because of a complaint',
};

export function statusText(status: string): string {
  return STATUS_TEXT[status] ?? `is ${status}`;
}

/** What the person last said about mails: the words behind the status. */
export function consentText({ consent }: PersonFacts): string {
  if (consent === null) return 'No decision about mails is on record.';
  const words = consent.wording === null ? '' : ` The words were: “${consent.wording}”`;
  return `The last decision on record: ${consent.kind} on ${instantText(consent.at)}.${words}`;
}

/** Only an active person gets marketing. `open`: it is still asked, else it was asked at the time. */
export function consentRule(person: PersonFacts | null, stopped: boolean, open: boolean): Rule {
  if (person === null)
    return stopped || open
      ? rule('PERSON_ERASED', 'stopped', 'The person was erased; nothing is sent to them.')
      : rule('PERSON_ERASED', 'info', 'The person has been erased since.');
  const at = person.consent?.at ?? null;
  const status = statusText(person.status);
  if (stopped) {
    const since = person.status === 'active' ? ', and is on the list again today' : `, and ${status} today`;
    const text = `The person was not on the list when the mail came up${since}. ${consentText(person)}`;
    return rule('SUBSCRIBER_NOT_ACTIVE', 'stopped', text, at);
  }
  if (open && person.status !== 'active')
    return rule('SUBSCRIBER_NOT_ACTIVE', 'stopped', `The person ${status}. ${consentText(person)}`, at);
  const text =
    person.status === 'active'
      ? `The person ${status}. ${consentText(person)}`
      : `The person was no obstacle then, and ${status} today. ${consentText(person)}`;
  return rule('CONSENT_GIVEN', 'passed', text, at);
}

/** The ledger may have ended the mail before the person was taken off the list. */
export function leftByLinkRule(person: PersonFacts | null): Rule {
  const today =
    person === null
      ? 'Today nothing is kept about them.'
      : `Today the person ${statusText(person.status)}. ${consentText(person)}`;
  const text = `The person had left by the link of a mail, which the database could not take down yet, when the mail came up. ${today}`;
  return rule('LEFT_BY_LINK', 'stopped', text);
}

/** Entries that concern this class of mail. */
export function suppressionRule(
  entries: readonly SuppressionFacts[],
  { marketing, stopped, open }: { marketing: boolean; stopped: boolean; open: boolean },
): Rule {
  const entry = entries.find(({ scope }) => scope === 'all' || marketing);
  if (entry && (stopped || open)) {
    const what = entry.scope === 'all' ? 'every mail' : 'newsletters and offers';
    return rule(
      'SUPPRESSED',
      'stopped',
      `The address is on the suppression list for ${what} since ${instantText(entry.since)}: ${entry.reason.replace('_', ' ')}, by way of ${quoted(entry.source)}.`,
      entry.since,
    );
  }
  if (stopped)
    return rule(
      'SUPPRESSED',
      'stopped',
      'The address was on the suppression list when the mail came up; that entry has been lifted since.',
    );
  if (entry)
    return rule(
      'NOT_SUPPRESSED',
      'passed',
      `No entry stood against it then; one does today, since ${instantText(entry.since)}.`,
      entry.since,
    );
  return rule('NOT_SUPPRESSED', 'passed', 'The address is not on the suppression list.');
}

/**
 * [] when there is no pause or the mail is past asking. A step waits for the end of a pause, a broadcast passes by.
 * `stopped`: a pause was what took the mail off.
 */
export function pauseRule(
  person: PersonFacts | null,
  { open, stopped, broadcast }: { open: boolean; stopped: boolean; broadcast: boolean },
): Rule[] {
  const until = person?.pausedUntil ?? null;
  if (stopped) {
    const since = until === null ? 'which is over today' : `until ${instantText(until)}`;
    const text = `The person had asked for a pause, ${since}, when the mail came up. A broadcast does not come later.`;
    return [rule('PAUSED_BY_READER', 'stopped', text, until)];
  }
  if (until === null || !open) return [];
  if (broadcast) {
    const text = `The person has asked for a pause until ${instantText(until)}: a broadcast that comes up before then passes them by.`;
    return [rule('PAUSED_BY_READER', 'waits', text, until)];
  }
  const text = `The person has asked for a pause until ${instantText(until)}: marketing mails wait until then.`;
  return [rule('PAUSED_BY_READER', 'waits', text, until)];
}

/** The owner's pause, or that for complaints: of a mail, or of a step that has none yet. */
export function sequencePausedRule(): Rule {
  const text = 'It waits: the mails of its sequence are paused until the owner lets them go on.';
  return rule('SEQUENCE_PAUSED', 'waits', text);
}

export function topicRule(
  optedOutSince: Date | null,
  { topic, stopped, open }: { topic: string; stopped: boolean; open: boolean },
): Rule {
  const name = quoted(topic);
  if (optedOutSince !== null && (stopped || open))
    return rule(
      'TOPIC_OPTED_OUT',
      'stopped',
      `The person does not want mails about ${name} since ${instantText(optedOutSince)}.`,
      optedOutSince,
    );
  if (stopped)
    return rule(
      'TOPIC_OPTED_OUT',
      'stopped',
      `The person did not want mails about ${name} then; now they do.`,
    );
  return optedOutSince === null
    ? rule('TOPIC_WANTED', 'passed', `The person has not opted out of ${name}.`)
    : rule(
        'TOPIC_WANTED',
        'passed',
        `The person opted out of ${name} only later, on ${instantText(optedOutSince)}.`,
        optedOutSince,
      );
}

/** Of what was planned with a mail, its offer. */
export interface OfferFacts {
  acceptedAt: Date | null;
  /** As `dataAt` reads it; left out where the mail offers nothing. */
  offers?: Record<string, unknown>;
}

/** What a mail tells its reader of a price. */
export function offerRules({ acceptedAt, offers = {} }: OfferFacts): Rule[] {
  const { offerAfter, ...told } = offers;
  const data = acceptedAt === null || !offerAfter ? told : dataAt(offers, acceptedAt);
  const offer = data['offer'] as { slug: string; price: Money; expiresAt?: string } | null | undefined;
  if (!offer) return [];
  const end = offer.expiresAt === undefined ? null : new Date(offer.expiresAt);
  const until = end === null ? '' : `, until ${instantText(end)}`;
  const text = `It offers ${quoted(offer.slug)} for ${moneyToText(offer.price)}${until}.`;
  return [rule('OFFERS', 'info', text, end)];
}

/** By the kind of a mail, what planned it where that is no sequence and no broadcast. */
export const CAUSES: Readonly<Record<string, readonly [string, string]>> = {
  confirmation: ['PLANNED_BY_SIGNUP', 'Planned by a sign-up, to ask whether the address is theirs.'],
  receipt: ['PLANNED_BY_ORDER', 'Planned by a paid order: the receipt with what was bought.'],
  notice: ['PLANNED_BY_REQUEST', 'Planned because the person asked for it on one of our pages.'],
  api: ['PLANNED_BY_API', 'Planned by a program, which asked for this one mail.'],
  broadcast: ['PLANNED_BY_BROADCAST', 'Planned by a broadcast that is no longer there.'],
};

/** What the person has said of the mail's topic, and whether they have left the list that it is for. `gone`: what stopped it. */
export function wishRules(
  optedOutSince: Date | null,
  {
    topic,
    gone,
    open,
    offItsList = false,
  }: { topic: string; gone: string | null; open: boolean; offItsList?: boolean },
): Rule[] {
  const topical = topicRule(optedOutSince, { topic, stopped: gone === OPTED_OUT, open });
  const left = 'left the list that the broadcast is for';
  if (gone === LEFT_LIST)
    return [topical, rule('LEFT_LIST', 'stopped', `The person had ${left} when the mail came up.`)];
  if (!open || !offItsList) return [topical];
  return [topical, rule('LEFT_LIST', 'stopped', `The person has ${left}.`)];
}

/** Null while the broadcast lets its mails go. */
export function broadcastStop({ title, state, stateReason }: BroadcastFacts): Rule | null {
  const why = stateReason === null ? '' : ` (${stateReason})`;
  if (state === 'cancelled')
    return rule('BROADCAST_CANCELLED', 'stopped', `The broadcast ${quoted(title)} was cancelled${why}.`);
  if (state === 'paused')
    return rule('BROADCAST_PAUSED', 'waits', `The broadcast ${quoted(title)} is paused${why}.`);
  return null;
}
