import { isIP } from 'node:net';
import { type FieldDefinition, isStorable, readFieldText } from '../subscribers/field.js';
import type { SubscriberFields } from '../subscribers/subscriber.js';
import { objectKey } from '../subscribers/subscribers.schemas.js';
import type { SubscriberStatus } from '../subscribers/subscription-status.js';
import { adviseOnAddress, type AddressAdvice } from '../values/email-address-advice.js';
import { parseEmailAddress } from '../values/email-address.js';
import { HEADER_TEXT } from '../values/header-text.js';
import { notInThePast } from '../values/past-instant.js';
import { canonicalLocale } from '../values/locale.js';
import { canonicalTimeZone } from '../values/zoned-time.js';
import { type Columns, type Target } from './columns.js';
import { readCell } from './export-cell.js';
import { type DateOrder, readInstant } from './instant.js';

/** Somebody of an imported table, before it is known whether they are here already. */
export interface ImportedPerson {
  email: string;
  emailKey: string;
  name: string | null;
  status: SubscriberStatus;
  timeZone: string | null;
  locale: string | null;
  fields: SubscriberFields;
  tags: string[];
  lists: string[];
  createdAt: Date | null;
  consentText: string | null;
  consentAt: Date | null;
  consentIp: string | null;
  confirmedAt: Date | null;
  confirmedIp: string | null;
  leftAt: Date | null;
  trackingConsent: boolean | null;
  topicsOff: string[];
  pausedUntil: Date | null;
}

export interface RowOptions {
  columns: Columns;
  definitions: ReadonlyMap<string, FieldDefinition>;
  /** Of rows whose table says nothing: what the owner vouches for. */
  status: 'active' | 'pending';
  dateOrder: DateOrder | null;
  /** Put on everybody, besides those of the row. */
  tags: readonly string[];
  lists: readonly string[];
  listKeys: ReadonlySet<string>;
  /** Of the funnels that are here. */
  topicKeys: ReadonlySet<string>;
  /** The owner has said what everybody agreed to. */
  hasConsent: boolean;
  now: Date;
}

export type RowRead =
  | {
      ok: true;
      person: ImportedPerson;
      advice: AddressAdvice;
      withoutConsent: boolean;
      /** A time zone was given that is none; the person has none now. */
      unknownZone: boolean;
      /** A language was given that is none, as one in words; the person has none now. */
      unknownLocale: boolean;
      /** Of the topics that they want no mails about: those that are none here, or none yet. */
      unknownTopics: string[];
    }
  | { ok: false; problem: string; noes: Noes | null };

/** What a refused row says that they do not want: nothing else of it is taken. */
export type Noes = Pick<
  ImportedPerson,
  'email' | 'emailKey' | 'leftAt' | 'trackingConsent' | 'topicsOff' | 'pausedUntil'
> & {
  /** Null unless it says that they left, are dead or complained. */
  status: SubscriberStatus | null;
  unknownTopics: string[];
};

const STATUSES: Readonly<Record<string, SubscriberStatus>> = {
  ...{ active: 'active', subscribed: 'active', confirmed: 'active' },
  ...{ pending: 'pending', unconfirmed: 'pending', cold: 'pending', inactive: 'pending' },
  ...{
    unsubscribed: 'unsubscribed',
    cancelled: 'unsubscribed',
    canceled: 'unsubscribed',
    optedout: 'unsubscribed',
  },
  ...{ bounced: 'bounced', cleaned: 'bounced', hardbounced: 'bounced' },
  ...{ complained: 'complained', complaint: 'complained', junk: 'complained', spam: 'complained' },
};
const MAX_NAME = 100;
const MAX_CONSENT = 10_000;
const MAX_TAGS = 50;
const MAX_TAG = 100;
const NONE: string[] = [];

class Refused extends Error {}

/**
 * A row as a person, or why it is none: each value is checked as the REST interface checks it, and a row with one that
 * cannot be kept is refused, since half a person is worse than a line in a report. What it says that they do not want is
 * taken all the same: on account of a mistyped date mails would go to a complainant.
 */
export function readRow(cells: readonly string[], options: RowOptions): RowRead {
  const { targets } = options.columns;
  // Empty cells at the end of a line are harmless; missing ones may have shifted all the others.
  const tooMany =
    cells.length > targets.length && cells.slice(targets.length).some((cell) => cell.trim() !== '');
  if (tooMany || cells.length < targets.length)
    return {
      ok: false,
      ...{ problem: `it has ${cells.length} cells, the header has ${targets.length}`, noes: null },
    };
  try {
    return read(cells, options);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { ok: false, problem: error.message, noes: noesOf(cells, options) };
  }
}

function read(cells: readonly string[], options: RowOptions): RowRead {
  const { columns, definitions } = options;
  const { targets } = columns;
  const values = new Map<Target, string>();
  const fields: SubscriberFields = {};
  for (let index = 0; index < targets.length; index += 1) {
    const target = targets[index] ?? 'ignore';
    if (target === 'ignore') continue;
    const text = readCell(cells[index] ?? '', columns.shape === 'wellspring');
    if (!isStorable(text)) throw new Refused(`${target}: it holds a NUL or half a character`);
    if (target.startsWith('field:')) setField(fields, definitions.get(target.slice('field:'.length)), text);
    else if (text.trim() !== '') values.set(target, text);
  }
  return personOf(values, fields, options);
}

function personOf(
  values: ReadonlyMap<Target, string>,
  fields: SubscriberFields,
  options: RowOptions,
): RowRead {
  const parsed = parseEmailAddress(values.get('email') ?? '');
  if (!parsed.ok) throw new Refused(`email: ${parsed.reason}`);
  const at = (target: Target): Date | null => instantOf(target, values.get(target), options);
  const consentText = short('consentText', values.get('consentText'), MAX_CONSENT);
  const consentAt = at('consentAt');
  const confirmedAt = at('confirmedAt');
  const leftAt = at('leftAt');
  const agreedAt = Math.max(consentAt?.getTime() ?? 0, confirmedAt?.getTime() ?? 0);
  const said = statusOf(values.get('status'), options, leftAt !== null && leftAt.getTime() >= agreedAt);
  // Without any word of theirs nobody is written to: they stay as if they had typed their address and not confirmed.
  const proven = options.hasConsent || consentAt !== null || confirmedAt !== null || consentText !== null;
  const withoutConsent = said === 'active' && !proven;
  const person: ImportedPerson = {
    email: parsed.address,
    emailKey: parsed.key,
    name: nameOf(values),
    status: withoutConsent ? 'pending' : said,
    timeZone: timeZoneOf(values.get('timeZone'), options),
    locale: canonicalLocale(values.get('locale')?.trim() ?? ''),
    fields: values.has('otherFields')
      ? { ...otherFields(values.get('otherFields'), options), ...fields }
      : fields,
    tags: namesOf('tags', values.get('tags'), options.tags),
    lists: listsOf(values.get('lists'), options),
    createdAt: at('createdAt'),
    consentText,
    consentAt,
    consentIp: ipOf(values.get('consentIp')),
    confirmedAt,
    confirmedIp: ipOf(values.get('confirmedIp')),
    leftAt,
    trackingConsent: yesOrNo(values.get('trackingConsent')),
    topicsOff: topicsOf(values.get('topicsOff'), options),
    pausedUntil: timeOf('pausedUntil', values.get('pausedUntil'), options),
  };
  const unknownZone = person.timeZone === null && values.has('timeZone');
  const unknownLocale = person.locale === null && values.has('locale');
  const unknownTopics = person.topicsOff.filter((key) => !options.topicKeys.has(key));
  const advice = adviseOnAddress(parsed);
  return { ok: true, person, advice, withoutConsent, unknownZone, unknownLocale, unknownTopics };
}

/**
 * Of a row with a cell that cannot be read, by the others. A time of leaving that cannot be read is that of somebody who has
 * left. Null when it says no to nothing, or nobody knows whose row it is.
 */
function noesOf(cells: readonly string[], options: RowOptions): Noes | null {
  const { targets, shape } = options.columns;
  const texts = cells.slice(0, targets.length).map((cell) => readCell(cell, shape === 'wellspring'));
  const textOf = (target: Target): string | undefined =>
    texts.find((text, index) => targets[index] === target && text.trim() !== '');
  const parsed = parseEmailAddress(textOf('email') ?? '');
  if (!parsed.ok) return null;
  const at = (target: Target): Date | null =>
    unlessRefused(() => instantOf(target, textOf(target), options), null);
  const leftAt = at('leftAt');
  const agreedAt = Math.max(at('consentAt')?.getTime() ?? 0, at('confirmedAt')?.getTime() ?? 0);
  const hasLeft =
    leftAt === null
      ? unlessRefused(() => instantOf('leftAt', textOf('leftAt'), options) !== null, true)
      : leftAt.getTime() >= agreedAt;
  // A word for their status that nobody knows takes the time away no less than any other cell.
  const otherwise = leftAt !== null && hasLeft ? 'unsubscribed' : null;
  const said = unlessRefused(() => statusOf(textOf('status'), options, hasLeft), otherwise);
  const status = said === 'active' || said === 'pending' ? null : said;
  const trackingConsent =
    unlessRefused(() => yesOrNo(textOf('trackingConsent')), null) === false ? false : null;
  const topicsOff = splitNames(textOf('topicsOff') ?? '').filter((name) => isTopic(name, options));
  const pausedUntil = unlessRefused(() => timeOf('pausedUntil', textOf('pausedUntil'), options), null);
  if (status === null && trackingConsent === null && topicsOff.length === 0 && pausedUntil === null)
    return null;
  const unknownTopics = topicsOff.filter((key) => !options.topicKeys.has(key));
  return {
    ...{ email: parsed.address, emailKey: parsed.key, status, leftAt },
    ...{ trackingConsent, topicsOff, pausedUntil, unknownTopics },
  };
}

function unlessRefused<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refused) return otherwise;
    throw error;
  }
}

function setField(fields: SubscriberFields, definition: FieldDefinition | undefined, text: string): void {
  if (!definition || (text.trim() === '' && definition.type !== 'text') || text === '') return;
  const checked = readFieldText(definition, text);
  if (!checked.ok) throw new Refused(`${definition.key}: must be ${checked.allowed}`);
  fields[definition.key] = checked.value;
}

/** A row that says when they left, and nothing else of them, says that they left: AWeber's has no status beside it. */
function statusOf(
  text: string | undefined,
  { columns, status }: RowOptions,
  hasLeft: boolean,
): SubscriberStatus {
  if (text === undefined) return columns.status ?? (hasLeft ? 'unsubscribed' : status);
  const word = text.toLowerCase().replace(/[^a-z]/g, '');
  const found = Object.hasOwn(STATUSES, word) ? STATUSES[word] : undefined;
  if (found) return found;
  throw new Refused('status: use active, pending, unsubscribed, bounced or complained');
}

function instantOf(target: Target, text: string | undefined, options: RowOptions): Date | null {
  const at = timeOf(target, text, options);
  const wrong = at === null ? null : notInThePast(at, options.now);
  if (wrong !== null) throw new Refused(`${target}: ${wrong}`);
  return at;
}

function timeOf(target: Target, text: string | undefined, { columns, dateOrder }: RowOptions): Date | null {
  // Mailchimp writes a date of zeros for never, and what runs on .NET the first day that it has.
  if (text === undefined || /^\s*(?:0{4}-00-00|0001-01-01)/.test(text)) return null;
  const read = readInstant(text, dateOrder ?? columns.dateOrder);
  if (!read.ok) throw new Refused(`${target}: ${read.problem}`);
  return read.at;
}

function nameOf(values: ReadonlyMap<Target, string>): string | null {
  const parts = [values.get('firstName'), values.get('lastName')].map((part) => part?.trim() ?? '');
  const name = (values.get('name') ?? parts.join(' ')).trim();
  if (name === '') return null;
  if (!HEADER_TEXT.test(name)) throw new Refused('name: it has line breaks, control or direction characters');
  return short('name', name, MAX_NAME);
}

/** A zone nobody knows is left out and counted when another product wrote it, as `UTC-05` is; our own export has none. */
function timeZoneOf(text: string | undefined, { columns }: RowOptions): string | null {
  const zone = text === undefined ? null : canonicalTimeZone(text.trim());
  if (zone === null && text !== undefined && columns.shape === 'wellspring')
    throw new Refused('timeZone: use an IANA time zone, such as Europe/Berlin');
  return zone;
}

function ipOf(text: string | undefined): string | null {
  if (text === undefined) return null;
  const ip = text.trim();
  return isIP(ip) > 0 && !ip.includes('%') ? ip : null;
}

function yesOrNo(text: string | undefined): boolean | null {
  if (text === undefined) return null;
  if (text === 'true' || text === 'false') return text === 'true';
  throw new Refused('trackingConsent: use true or false');
}

function short(target: string, text: string | undefined, most: number): string | null {
  if (text === undefined) return null;
  if (text.length > most) throw new Refused(`${target}: use at most ${most} characters`);
  return text;
}

/** Names between commas; one with a comma or a quotation mark stands in quotation marks, as in a cell of a table. */
export function splitNames(text: string): string[] {
  const names: string[] = [];
  for (const [, quoted, plain = ''] of text.matchAll(/\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|$)/g)) {
    const name = (quoted === undefined ? plain : quoted.replaceAll('""', '"')).trim();
    if (name !== '') names.push(name);
  }
  return [...new Set(names)];
}

/** A million rows have a few thousand different sets of tags. Nobody changes the arrays. */
const MOST_REMEMBERED = 10_000;
const LONGEST_REMEMBERED = 500;
const rememberedBeside = new WeakMap<readonly string[], Map<string, string[] | { problem: string }>>();

/** The names of a cell and those that everybody gets, each once. */
function namesOf(target: string, text: string | undefined, always: readonly string[]): string[] {
  const remembered = rememberedBeside.get(always) ?? new Map<string, string[] | { problem: string }>();
  rememberedBeside.set(always, remembered);
  const cell = text ?? '';
  const known = remembered.get(cell);
  const names = known ?? checkedNames([...new Set([...splitNames(cell), ...always])]);
  if (known === undefined && cell.length <= LONGEST_REMEMBERED) {
    if (remembered.size >= MOST_REMEMBERED) remembered.clear();
    remembered.set(cell, names);
  }
  if ('problem' in names) throw new Refused(`${target}: ${names.problem}`);
  return names;
}

function checkedNames(names: string[]): string[] | { problem: string } {
  if (names.length > MAX_TAGS) return { problem: `use at most ${MAX_TAGS}` };
  return names.some((name) => name.length > MAX_TAG || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(name))
    ? { problem: `a name has at most ${MAX_TAG} characters and no line breaks` }
    : names;
}

function listsOf(text: string | undefined, { lists, listKeys }: RowOptions): string[] {
  if (text === undefined && lists.length === 0) return [];
  const keys = namesOf('lists', text, lists);
  const unknown = keys.find((key) => !listKeys.has(key));
  if (unknown !== undefined) throw new Refused(`lists: there is no list "${unknown}"`);
  return keys;
}

/** Keys of funnels, which may come later than the people. Our own export has what is here, and gives it back as it was. */
function topicsOf(text: string | undefined, options: RowOptions): string[] {
  if (text === undefined) return NONE;
  const keys = namesOf('topicsOff', text, NONE);
  if (!keys.every((key) => isTopic(key, options)))
    throw new Refused('topicsOff: use the keys of funnels, such as niche-ebook');
  return keys;
}

function isTopic(name: string, { columns }: RowOptions): boolean {
  return columns.shape === 'wellspring'
    ? isStorable(name) && !('problem' in checkedNames([name]))
    : objectKey.safeParse(name).success;
}

/**
 * Fields by their keys, read like those with a column of their own. What fits no field is kept as it is where nobody defined
 * one, and in our own export, which has it from before the field was defined: there it counts as none, and without it the
 * person would not come back as they were. Lists and objects are left out where nobody defined the field.
 */
function otherFields(text: string | undefined, { columns, definitions }: RowOptions): SubscriberFields {
  if (text === undefined) return {};
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    given = null;
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Refused('otherFields: must be a JSON object');
  const fields: SubscriberFields = {};
  for (const [key, value] of Object.entries(given) as [string, unknown][]) {
    if (value === null) continue;
    const defined = definitions.get(key);
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      if (defined) throw new Refused(`${key}: must be a text, a number, true or false`);
      continue;
    }
    if (!isStorable(key) || (typeof value === 'string' && !isStorable(value)))
      throw new Refused('otherFields: it holds a NUL or half a character');
    if (!defined || columns.shape === 'wellspring') fields[key] = value;
    else setField(fields, defined, String(value));
  }
  return fields;
}
