import type { FieldDefinition } from '../subscribers/field.js';
import { partOfName, type Target, targetOfWord } from './column-words.js';
import type { DateOrder } from './instant.js';

/** What a column of a table can be, beside an own field (`field:plan`). */
export const TARGETS = [
  ...['email', 'name', 'firstName', 'lastName', 'status', 'timeZone', 'locale', 'tags', 'lists', 'createdAt'],
  ...['consentText', 'consentAt', 'consentIp', 'confirmedAt', 'confirmedIp', 'leftAt', 'trackingConsent'],
  ...['topicsOff', 'pausedUntil', 'otherFields', 'ignore'],
] as const;
export type { Target };

export type Shape = 'wellspring' | 'mailchimp' | 'kit' | 'mailerlite' | 'aweber' | 'other';

export interface Columns {
  shape: Shape;
  /** A target for each column, in the table's order. */
  targets: Target[];
  /** Headers of columns that nothing is made of. */
  ignored: string[];
  /** Every row has this status: the table has no column for it, but is known to hold only these. */
  status: 'active' | 'pending' | 'unsubscribed' | 'bounced' | null;
  dateOrder: DateOrder | null;
}

interface ColumnProblem {
  field: string;
  message: string;
  allowed?: string[];
}

type ColumnsRead = { ok: true; columns: Columns } | { ok: false; problems: ColumnProblem[] };

/** Header of our own export's address column: no other table has it, and its cells are read back exactly. */
export const OWN_ADDRESS_HEADER = 'wellspring:email';

/**
 * MailerLite and AWeber publish no list of the columns of their exports. Checked are those of MailerLite's plain export
 * (Subscriber, Sent, Opens, Clicks, Subscribed, Location; a real file of 2026) and of AWeber's as programs read them that
 * others wrote (Date Added, Stop Time, Ad Tracking, IP Address, Tags, with 02/03/24 10:00am for a time); the further names
 * are not checked against a real file. What is not recognised is shown as ignored before anything is written, and can be
 * mapped by hand.
 */
const OF_SHAPE: Readonly<Record<Exclude<Shape, 'wellspring' | 'other'>, Readonly<Record<string, Target>>>> = {
  mailchimp: {
    ...{ optintime: 'consentAt', optinip: 'consentIp', confirmtime: 'confirmedAt', confirmip: 'confirmedIp' },
    ...{ unsubtime: 'leftAt', cleantime: 'leftAt' },
  },
  kit: { confirmedat: 'confirmedAt', createdat: 'consentAt' },
  mailerlite: {
    ...{ subscribed: 'consentAt', subscribedat: 'consentAt', signuptimestamp: 'consentAt' },
    ...{ signupip: 'consentIp', ipaddress: 'consentIp', confirmationip: 'confirmedIp' },
    ...{
      confirmationdate: 'confirmedAt',
      confirmationtimestamp: 'confirmedAt',
      confirmedat: 'confirmedAt',
      optedinat: 'confirmedAt',
      optindate: 'confirmedAt',
      optinip: 'confirmedIp',
    },
    ...{ unsubscribed: 'leftAt', unsubscribedat: 'leftAt' },
  },
  aweber: {
    ...{
      ipaddress: 'consentIp',
      dateadded: 'consentAt',
      signedup: 'consentAt',
      datetimesignedup: 'consentAt',
      subscribedat: 'consentAt',
    },
    ...{ verifiedat: 'confirmedAt', stoptime: 'leftAt', unsubscribedat: 'leftAt' },
  },
};

/** Headers that together only this shape has. */
const MARKS: readonly (readonly [Exclude<Shape, 'wellspring' | 'other'>, readonly string[]])[] = [
  ['mailchimp', ['emailaddress', 'optintime']],
  ['mailchimp', ['emailaddress', 'leid']],
  ['aweber', ['email', 'adtracking']],
  ['aweber', ['email', 'stoptime']],
  ['mailerlite', ['subscribed', 'signupip']],
  ['mailerlite', ['subscriber', 'subscribed']],
  ['mailerlite', ['signuptimestamp', 'confirmationtimestamp']],
  ['mailerlite', ['email', 'subscribedat', 'optedinat']],
  ['kit', ['email', 'firstname', 'status', 'createdat', 'tags']],
  ['kit', ['email', 'firstname', 'confirmedat']],
];

/**
 * What each column is: by `mapping` (a header or `#2` for the second column, to a target), else by what is known of the
 * table it comes from, else by its name. A column called like an own field, by key or label, is that field. Refused when
 * no column holds the address, or several might.
 */
export function readColumns(
  headers: readonly string[],
  mapping: Readonly<Record<string, Target>>,
  definitions: ReadonlyMap<string, FieldDefinition>,
  fileName = '',
): ColumnsRead {
  const names = headers.map(plainName);
  const shape = shapeOf(headers, names);
  const problems = mappingProblems(headers, mapping, definitions);
  const guesses = guessesOf(headers, names, shape, definitions);
  const targets = headers.map(
    (header, index) =>
      mapping[`#${index + 1}`] ?? mapping[header] ?? mapping[header.trim()] ?? guesses[index] ?? 'ignore',
  );
  const used = targets.map((target, index) => ({ target, header: headers[index] ?? '', index }));
  for (const target of new Set(targets.filter((one) => one !== 'ignore'))) {
    const same = used.filter((one) => one.target === target);
    if (same.length > 1) {
      const which = same.map(({ header, index }) => `"${header}" (#${index + 1})`).join(' and ');
      problems.push({
        field: 'columns',
        message: `${which} would both be ${target}: say which, and ignore the other`,
      });
    }
  }
  if (!targets.includes('email') && problems.length === 0)
    problems.push({
      field: 'columns',
      message: 'no column holds the address: say which is email',
      allowed: [...headers],
    });
  if (problems.length > 0) return { ok: false, problems };
  const ignored = used.filter(({ target }) => target === 'ignore').map(({ header }) => header);
  const columns = { shape, targets, ignored, dateOrder: shape === 'aweber' ? ('mdy' as const) : null };
  return { ok: true, columns: { ...columns, status: statusOf(shape, names, fileName) } };
}

/** What each column seems to be, for a form in which the owner says it; columns that share a target are left to them. */
export function guessTargets(
  headers: readonly string[],
  definitions: ReadonlyMap<string, FieldDefinition>,
): { shape: Shape; targets: Target[] } {
  const names = headers.map(plainName);
  const shape = shapeOf(headers, names);
  const targets = guessesOf(headers, names, shape, definitions);
  const isFirst = (target: Target, index: number): boolean => targets.indexOf(target) === index;
  return { shape, targets: targets.map((target, index) => (isFirst(target, index) ? target : 'ignore')) };
}

function guessesOf(
  headers: readonly string[],
  names: readonly string[],
  shape: Shape,
  definitions: ReadonlyMap<string, FieldDefinition>,
): Target[] {
  const targets = headers.map((header, index) =>
    targetOf(header.trim(), names[index] ?? '', shape, definitions),
  );
  const name = partOfName(targets, names);
  // Of two times at which a product says they agreed, the first column is as good as the other.
  const isAgain = (target: Target, index: number): boolean =>
    TIMES.has(target) && shape !== 'other' && targets.indexOf(target) < index;
  return targets.map((target, index) =>
    isAgain(target, index) ? 'ignore' : target === 'name' && shape !== 'wellspring' ? name : target,
  );
}

const TIMES: ReadonlySet<Target> = new Set(['consentAt', 'confirmedAt', 'leftAt', 'createdAt']);

function shapeOf(headers: readonly string[], names: readonly string[]): Shape {
  if (headers.includes(OWN_ADDRESS_HEADER)) return 'wellspring';
  return MARKS.find(([, marks]) => marks.every((mark) => names.includes(mark)))?.[0] ?? 'other';
}

/**
 * Mailchimp has a file for each status, and no column for it. `nonsubscribed` are customers who never agreed to mails:
 * their file has the columns of the others, and only its name tells.
 */
function statusOf(shape: Shape, names: readonly string[], fileName: string): Columns['status'] {
  if (shape !== 'mailchimp' || names.includes('status')) return null;
  if (names.includes('unsubtime')) return 'unsubscribed';
  if (names.includes('cleantime')) return 'bounced';
  const file = fileName.slice(fileName.lastIndexOf('/') + 1).toLowerCase();
  return MAILCHIMP_FILES.find(([word]) => file.startsWith(word))?.[1] ?? 'active';
}

const MAILCHIMP_FILES = [
  ['unsubscribed', 'unsubscribed'],
  ['cleaned', 'bounced'],
  ['nonsubscribed', 'pending'],
] as const;

/** `readColumns` for each table of an archive: a column that is named need stand in one of them only. */
export function readTables(
  tables: readonly { name: string; headers: readonly string[] }[],
  mapping: Readonly<Record<string, Target>>,
  definitions: ReadonlyMap<string, FieldDefinition>,
): { ok: true; tables: Columns[] } | { ok: false; problems: ColumnProblem[] } {
  const isIn = (name: string, headers: readonly string[]): boolean =>
    name.startsWith('#') || headers.some((header) => header.trim() === name.trim());
  const read = tables.map(({ name, headers }, index) => {
    const elsewhere = (column: string): boolean =>
      tables.some((other, place) => place !== index && isIn(column, other.headers));
    const own = Object.entries(mapping).filter(([column]) => isIn(column, headers) || !elsewhere(column));
    return readColumns(headers, Object.fromEntries(own), definitions, name);
  });
  const problems = read.flatMap((one, index) =>
    one.ok
      ? []
      : one.problems.map((problem) => ({
          ...problem,
          message: tables.length === 1 ? problem.message : `${tables[index]?.name ?? ''}: ${problem.message}`,
        })),
  );
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, tables: read.flatMap((one) => (one.ok ? [one.columns] : [])) };
}

function targetOf(
  header: string,
  name: string,
  shape: Shape,
  definitions: ReadonlyMap<string, FieldDefinition>,
): Target {
  if (shape === 'wellspring') {
    if (header === OWN_ADDRESS_HEADER) return 'email';
    if (header.startsWith('field:'))
      return definitions.has(header.slice('field:'.length)) ? header : 'ignore';
    return TARGETS.some((target) => target === header) ? header : 'ignore';
  }
  const word = targetOfWord(name);
  if (word === 'email') return 'email';
  const known = shape === 'other' ? undefined : OF_SHAPE[shape][name];
  if (known !== undefined) return known;
  for (const { key, label } of definitions.values())
    if (plainName(key) === name || plainName(label) === name) return `field:${key}`;
  return word ?? TARGETS.find((target) => target.toLowerCase() === name) ?? 'ignore';
}

function mappingProblems(
  headers: readonly string[],
  mapping: Readonly<Record<string, Target>>,
  definitions: ReadonlyMap<string, FieldDefinition>,
): ColumnProblem[] {
  return Object.entries(mapping).flatMap(([name, target]): ColumnProblem[] => {
    const field = `columns.${name}`;
    const place = /^#(\d{1,5})$/.exec(name);
    const isThere = place
      ? Number(place[1]) >= 1 && Number(place[1]) <= headers.length
      : headers.some((header) => header.trim() === name.trim());
    if (!isThere) return [{ field, message: 'there is no such column', allowed: [...headers] }];
    const twice = headers.filter((header) => header.trim() === name.trim()).length > 1;
    if (!place && twice)
      return [{ field, message: 'several columns are called so: say which by its place, such as #2' }];
    const isField = target.startsWith('field:') && definitions.has(target.slice('field:'.length));
    if (isField || TARGETS.some((one) => one === target)) return [];
    const allowed = [...TARGETS, ...[...definitions.keys()].map((key) => `field:${key}`)];
    const own = /^field:([a-z][a-zA-Z0-9]{0,49})$/.exec(target)?.[1];
    const message =
      own === undefined
        ? `"${target}" is nothing a column can be`
        : `there is no field "${own}" yet; define it first, with its type`;
    return [{ field, message, allowed }];
  });
}

/** `E-Mail Address`, `EMAIL_ADDRESS` and `emailAddress` are one. */
function plainName(header: string): string {
  return header.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}
