import { arrayLiteral } from '../infra/database/array-literal.js';
import { copyText } from '../infra/database/copy-in.js';
import type { ImportedPerson, Noes } from './import-row.js';

/** The columns in the order in which `personLine`, `noesLine` and `refusedLine` write them. */
export const COPY_ROWS = `copy import_row (import_id, line, email, email_key, email_hash, name, status, time_zone, locale, fields, tags,
  lists, created_at, consent_text, consent_at, consent_ip, confirmed_at, confirmed_ip, left_at, tracking_consent,
  topics_off, paused_until, problem, cells, unread) from stdin`;

interface Place {
  importId: string;
  line: number;
}

export function personLine({ importId, line }: Place, person: ImportedPerson, hashHex: string): string {
  // One text, since an array of cells for each of a million rows is most of what this would cost.
  return (
    `${importId}\t${line}\t${copyText(person.email)}\t${copyText(person.emailKey)}\t\\\\x${hashHex}\t` +
    `${copyText(person.name)}\t${person.status}\t${copyText(person.timeZone)}\t${copyText(person.locale)}\t` +
    `${copyText(JSON.stringify(person.fields))}\t${names(person.tags)}\t${names(person.lists)}\t` +
    `${time(person.createdAt)}\t${copyText(person.consentText)}\t${time(person.consentAt)}\t` +
    `${copyText(person.consentIp)}\t${time(person.confirmedAt)}\t${copyText(person.confirmedIp)}\t` +
    `${time(person.leftAt)}\t${person.trackingConsent ?? NULL}\t${names(person.topicsOff)}\t` +
    `${time(person.pausedUntil)}\t${NULL}\t${NULL}\t${NULL}\n`
  );
}

/** A refused row that says what somebody does not want: `unread` is why no more of it is taken. */
export function noesLine(
  { importId, line }: Place,
  noes: Noes,
  hashHex: string,
  { problem, cells }: { problem: string; cells: readonly string[] },
): string {
  const instant = (at: Date | null): string | null => at?.toISOString() ?? null;
  return lineOf([
    ...[importId, String(line), noes.email, noes.emailKey, `\\x${hashHex}`, null, noes.status, null, null],
    ...['{}', '{}', '{}', null, null, null, null, null, null],
    ...[instant(noes.leftAt), noes.trackingConsent === null ? null : String(noes.trackingConsent)],
    ...[arrayLiteral(noes.topicsOff), instant(noes.pausedUntil)],
    ...[null, shownOf(cells), storable(problem)],
  ]);
}

/** A row that is not taken, with as much of it as the report shows. */
export function refusedLine({ importId, line }: Place, problem: string, cells: readonly string[]): string {
  const empty: null[] = Array.from({ length: 20 }, () => null);
  return lineOf([importId, String(line), ...empty, storable(problem), shownOf(cells), null]);
}

function shownOf(cells: readonly string[]): string {
  return arrayLiteral(cells.slice(0, MAX_CELLS).map((cell) => storable(cell.slice(0, MAX_CELL_CHARS))));
}

const MAX_CELLS = 200;
const MAX_CELL_CHARS = 1_000;

function lineOf(values: readonly (string | null)[]): string {
  return `${values.map(copyText).join('\t')}\n`;
}

const NULL = copyText(null);

/** Rows with the same cell of tags share one array, see `namesOf`. */
const literals = new WeakMap<readonly string[], string>();

function names(all: readonly string[]): string {
  if (all.length === 0) return '{}';
  const known = literals.get(all);
  if (known !== undefined) return known;
  const literal = copyText(arrayLiteral(all));
  literals.set(all, literal);
  return literal;
}

function time(at: Date | null): string {
  return at === null ? NULL : at.toISOString();
}

function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}
