import { localPartOf, wireAddress } from '../../values/email-address.js';
import { encodeWord, foldLines } from 'nodemailer/lib/mime-funcs';
import { Octets } from './octets.js';

interface MailHeaders {
  from: { name: string; address: string };
  to: { name: string; address: string };
  subject: string;
  date: Date;
  /** With its angle brackets. */
  messageId: string;
  /** One line each, as they stand: a folded List-Unsubscribe broke signatures made further down the way. */
  more: Readonly<Record<string, string>>;
}

const ATOMS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*$/;
const ASCII = /^[ -~]*$/;
/** With single blanks inside, as most values are. */
const PLAIN = /^(?:[!-~]+(?: [!-~]+)*)?$/;
/** Nowhere to break the line, which may have 998 octets at most, and better has 78. */
const UNFOLDABLE = /\S{60}/;
/**
 * What starts a new header or shows another name than there is, as `HEADER_TEXT` refuses it where it is typed; and runs of
 * blanks, of which folding would make lines of nothing, which end the head for some servers.
 */
const NOT_SHOWN = /[\p{Cc}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069\uFEFF ]+/gu;
/** Far above what is ever shown; a field of 10 kB in a subject would be a head of 60 kB, which servers refuse. */
const MAX_SIGNS = 500;
const LINE = 76;
/** Free in front of each body, for our headers and the signatures of two keys. */
const HEAD_ROOM = 4_096;
/** Of all mails: it is filled and copied in one go, with nothing awaited in between. */
const room = new Octets();

/**
 * The header block (RFC 5322 §2.2) up to the empty line, each header once. Values come in as data and leave as data:
 * whatever is not plain ASCII becomes encoded words (RFC 2047), and line breaks become blanks.
 */
export function headerBlock(
  { from, to, subject, date, messageId, more }: MailHeaders,
  boundary: string,
): string {
  const lines = [
    fold(`From: ${mailbox(from)}`),
    fold(`To: ${mailbox(to)}`),
    fold(`Subject: ${words(shown(subject))}`),
    `Date: ${date.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: ${messageId}`,
    ...Object.entries(more).map(([name, value]) => `${name}: ${value}`),
    'MIME-Version: 1.0',
    `Content-Type: multipart/alternative; boundary="${boundary}"`,
  ];
  return `${lines.join('\r\n')}\r\n`;
}

/** A mail's body; {@link wholeMail} puts its head in front of it without copying it once more. */
export interface MailBody {
  octets: Buffer;
  /** The body behind free octets. */
  spaced: Buffer;
}

/**
 * multipart/alternative of two parts, the plain text first (RFC 2046 §5.1.4). They are written at once, in quoted-printable
 * and into the octets they are given.
 */
export function alternativeBody(
  boundary: string,
  { text, html }: Record<'text' | 'html', (octets: Octets) => void>,
): MailBody {
  room.clear();
  writePart('text/plain', text, boundary);
  writePart('text/html', html, boundary);
  room.putLatin1(`--${boundary}--\r\n`);
  const spaced = room.copied(HEAD_ROOM);
  return { octets: spaced.subarray(HEAD_ROOM), spaced };
}

/** `head`: all lines of it, and the empty one that ends it. Takes the body's memory for its own. */
export function wholeMail(head: string, { octets, spaced }: MailBody): Buffer {
  const length = Buffer.byteLength(head);
  if (length > HEAD_ROOM) return Buffer.concat([Buffer.from(head), octets]);
  spaced.write(head, HEAD_ROOM - length);
  return spaced.subarray(HEAD_ROOM - length);
}

/** Cannot occur in quoted-printable: an underscore never follows `=` there. Named after the message, so the same each time. */
export function boundaryFor(messageId: string): string {
  return `=_${messageId.slice(1, messageId.indexOf('@'))}`;
}

/** Whether the part before the @ needs RFC 6531 on the whole way. */
export function needsSmtpUtf8(address: string): boolean {
  return !ASCII.test(localPartOf(address));
}

function writePart(type: string, write: (octets: Octets) => void, boundary: string): void {
  room.putLatin1(
    `--${boundary}\r\nContent-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n`,
  );
  write(room);
  // A soft break at the very end would reach into the boundary.
  room.putLatin1(room.endsSoftly ? '\r\n\r\n' : '\r\n');
}

function mailbox({ name: given, address }: { name: string; address: string }): string {
  const spec = wireAddress(address);
  const name = shown(given);
  if (name === '') return spec;
  // What looks like an encoded word would be decoded by the reader's program, whatever it stands for.
  if (name.includes('=?')) return `${words(name)} <${spec}>`;
  if (ATOMS.test(name) && !UNFOLDABLE.test(name)) return `${name} <${spec}>`;
  return `${ASCII.test(name) && !UNFOLDABLE.test(name) ? `"${name.replace(/["\\]/g, '\\$&')}"` : words(name)} <${spec}>`;
}

function words(text: string): string {
  return ASCII.test(text) && !text.includes('=?') && !UNFOLDABLE.test(text)
    ? text
    : encodeWord(text, 'Q', 52);
}

/** One line, without what deceives; halves of characters become U+FFFD. Plain text, as most is, is only looked at. */
function shown(text: string): string {
  const line = PLAIN.test(text) ? text : text.toWellFormed().replace(NOT_SHOWN, ' ').trim();
  if (line.length <= MAX_SIGNS) return line;
  const signs = [...line];
  return signs.length <= MAX_SIGNS ? line : `${signs.slice(0, MAX_SIGNS).join('').trimEnd()}…`;
}

function fold(line: string): string {
  return line.length <= LINE ? line : foldLines(line, LINE);
}
