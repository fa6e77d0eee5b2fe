import PostalMime, { type Attachment, type Email } from 'postal-mime';
import { feedbackIn } from './feedback-report.js';
import { parseHeaderBlock, type HeaderBlock } from './header-block.js';

/** The parts of a mail that say what became of another one. */
export interface MailParts {
  headers: HeaderBlock;
  from: string;
  subject: string;
  /** Where the mail went: To and Delivered-To. */
  to: string[];
  /** What a person would read. */
  text: string;
  /** Contents of message/delivery-status parts (RFC 3464). */
  deliveryStatus: string[];
  feedback: FeedbackPart[];
  /** Header blocks of mails that were sent back. */
  originals: HeaderBlock[];
  /** The same mails as they are, for a report that was wrapped in another one. */
  returned: Uint8Array[];
}

/** One message/feedback-report (RFC 5965), and the headers of those mails that stand between it and the next. */
export interface FeedbackPart {
  text: string;
  originals: HeaderBlock[];
}

/**
 * A report says what it has to say in its first pages; what follows is our own mail. The limits bound the work at a
 * fraction of a second whatever is sent: the parser below takes its time by the line.
 */
const MAX_BYTES = 512 * 1024;
const MAX_LINES = 8_000;
const MAX_PART_CHARS = 64_000;
const MAX_PARTS = 50;
const MAX_DEPTH = 20;

/** Never throws: what is no MIME is read as plain text. */
export async function readMail(raw: Uint8Array): Promise<MailParts> {
  const bytes = withoutMboxLine(firstPages(plainLines(raw.subarray(0, MAX_BYTES))));
  const [head, body] = halves(bytes);
  const headers = parseHeaderBlock(head);
  const email = await parsed(bytes);
  const attachments = email?.attachments.slice(0, MAX_PARTS) ?? [];
  const ofType = (types: readonly string[]) => attachments.filter(({ mimeType }) => types.includes(mimeType));
  const returned = attachments.filter(isReturned).map(bytesOf);
  const text =
    [damagedText(attachments), readableText(email) ?? ''].join('\n').trim() || body.slice(0, MAX_PART_CHARS);
  return {
    headers,
    from: email?.from?.address ?? '',
    subject: (email?.subject ?? '').slice(0, 1_000),
    to: ['to', 'delivered-to'].flatMap((name) => headers.get(name) ?? []),
    text,
    deliveryStatus: ofType(STATUS_TYPES).map(bytesOf).map(textOf),
    feedback: feedbackParts(attachments, text),
    originals: returned.map(headersOf),
    returned,
  };
}

const STATUS_TYPES = ['message/delivery-status', 'message/global-delivery-status'];
const RETURNED_TYPES = [
  'message/rfc822',
  'text/rfc822-headers',
  'message/rfc822-headers',
  'message/global',
  'message/global-headers',
];

/** Some say of the mail they send back no more than that it is a file. */
function isReturned({ mimeType, filename }: Attachment): boolean {
  return (
    RETURNED_TYPES.includes(mimeType) ||
    (mimeType === 'application/octet-stream' && /\.eml$/i.test(filename ?? ''))
  );
}

function headersOf(mail: Uint8Array): HeaderBlock {
  return parseHeaderBlock(textOf(mail).trimStart());
}

/** Some reporters call the part a text or a file, and some write its fields into the text. */
function feedbackParts(attachments: readonly Attachment[], text: string): FeedbackPart[] {
  const found: FeedbackPart[] = [];
  let before: HeaderBlock[] = [];
  for (const part of attachments) {
    if (isReturned(part)) {
      (found.at(-1)?.originals ?? before).push(headersOf(bytesOf(part)));
      continue;
    }
    const content = textOf(bytesOf(part));
    const fields = part.mimeType === 'message/feedback-report' ? content : feedbackIn(content);
    if (fields === null) continue;
    found.push({ text: fields, originals: before });
    before = [];
  }
  const inText = found.length === 0 ? feedbackIn(text) : null;
  return inText === null ? found : [{ text: inText, originals: before }];
}

async function parsed(bytes: Uint8Array): Promise<Email | null> {
  try {
    return await PostalMime.parse(bytes, {
      forceRfc822Attachments: true,
      maxNestingDepth: MAX_DEPTH,
      maxHeadersSize: MAX_BYTES,
    });
  } catch {
    return null;
  }
}

function readableText(email: Email | null): string | null {
  const plain = unixLines(email?.text?.slice(0, MAX_PART_CHARS) ?? '');
  if (plain.trim() !== '') return plain;
  const html = email?.html?.slice(0, MAX_PART_CHARS) ?? '';
  const stripped = html
    .replace(/<(?:br|\/p|\/div|\/tr|\/li|\/h\d)\b[^<>]{0,200}>/gi, '\n')
    .replace(/<[^<>]{0,500}>/g, ' ')
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&amp;/g, '&')
    .replace(/&nbsp;/g, ' ');
  return stripped.trim() === '' ? null : stripped;
}

/** A text part whose Content-Type is damaged, so that the parser takes it for a file. */
function damagedText(attachments: readonly Attachment[]): string {
  const part = attachments.find(({ mimeType }) => /^text\/plain./.test(mimeType));
  return part === undefined ? '' : textOf(bytesOf(part));
}

function bytesOf({ content }: Attachment): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content) : new Uint8Array(content);
}

function textOf(bytes: Uint8Array): string {
  return unixLines(new TextDecoder().decode(bytes.subarray(0, MAX_PART_CHARS)));
}

/** Some systems end their lines in a bare CR, and some gateways double it: for the parser it would all be one line. */
function plainLines(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  return /\r(?!\n)/.test(text) ? Buffer.from(unixLines(text), 'latin1') : bytes;
}

function unixLines(text: string): string {
  return text.replace(/\r{1,9}\n|\r/g, '\n');
}

function firstPages(bytes: Uint8Array): Uint8Array {
  let lines = 0;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 10 && ++lines === MAX_LINES) return bytes.subarray(0, at + 1);
  }
  return bytes;
}

/** Mailboxes on disk put a `From ` line before each mail. */
function withoutMboxLine(bytes: Uint8Array): Uint8Array {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 1_000)).toString('latin1');
  const skipped = /^\s*(?:>?From [^\r\n]*\r?\n)?/.exec(start)?.[0].length ?? 0;
  return bytes.subarray(skipped);
}

function halves(bytes: Uint8Array): [head: string, body: string] {
  const text = new TextDecoder().decode(bytes);
  const gap = /\r?\n\r?\n/.exec(text);
  if (!gap) return [text, ''];
  return [text.slice(0, gap.index), text.slice(gap.index + gap[0].length)];
}
