import { arrayLiteral } from '../infra/database/array-literal.js';
import { copyText } from '../infra/database/copy-in.js';
import type { ImportedPerson } from './import-row.js';

/** The columns in the order in which `personLine` and `refusedLine` write them. */
export const COPY_ROWS = `copy import_row (import_id, line, email, email_key, email_hash, name, status, time_zone, locale, fields, tags,
  lists, created_at, consent_text, consent_at, consent_ip, confirmed_at, confirmed_ip, left_at, tracking_consent, problem, cells) from stdin`;

interface Place {
  importId: string;
  line: number;
}

export function personLine({ importId, line }: Place, person: ImportedPerson, hash: Buffer): string {
  return lineOf([
    ...[
      importId,
      String(line),
      person.email,
      person.emailKey,
      `\\x${hash.toString('hex')}`,
      person.name,
      person.status,
    ],
    ...[person.timeZone, person.locale, JSON.stringify(person.fields), arrayLiteral(person.tags)],
    ...[
      arrayLiteral(person.lists),
      time(person.createdAt),
      person.consentText,
      time(person.consentAt),
      person.consentIp,
    ],
    ...[time(person.confirmedAt), person.confirmedIp, time(person.leftAt)],
    ...[person.trackingConsent === null ? null : String(person.trackingConsent), null, null],
  ]);
}

/** A row that is not taken, with as much of it as the report shows. */
export function refusedLine({ importId, line }: Place, problem: string, cells: readonly string[]): string {
  const shown = cells.slice(0, MAX_CELLS).map((cell) => storable(cell.slice(0, MAX_CELL_CHARS)));
  const empty: null[] = Array.from({ length: 18 }, () => null);
  return lineOf([importId, String(line), ...empty, storable(problem), arrayLiteral(shown)]);
}

const MAX_CELLS = 200;
const MAX_CELL_CHARS = 1_000;

function lineOf(values: readonly (string | null)[]): string {
  return `${values.map(copyText).join('\t')}\n`;
}

function time(at: Date | null): string | null {
  return at === null ? null : at.toISOString();
}

function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}
