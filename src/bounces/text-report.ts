import { ADDRESS, addressesIn, sameAddress } from './addresses.js';
import { parseHeaderBlock, type HeaderBlock } from './header-block.js';

/** What a report without RFC 3464 fields says, recipient by recipient. */
export interface TextReport {
  recipients: { recipient: string; text: string }[];
  /** The report without the mail it sends back. */
  notice: string;
  /** The headers of that mail, where the report holds them as text. */
  original: HeaderBlock | null;
}

/** Behind dashes: what comes next is our own mail. */
const COPY_WORDS =
  /\b(?:copy of (?:the|your|my)|below this line|original (?:message|mail)|unsent message|returned message|message (?:text|header)|headers? of the original|undelivered message|text of the message|start of (?:the )?(?:original|returned))/i;
/** How far behind the dashes the words may begin, and how far they may reach. */
const WORDS_WITHIN = 80;
const WORDS_CHARS = 40;
/** Other lines behind which our own mail is repeated. */
const COPY_BELOW: readonly RegExp[] = [
  /^[\s>*|-]*(?:the )?(?:original message|message headers?|original message headers?|the original headers?)(?: is)?(?: as)? ?(?:follows?|following|below)?(?: as a separate attachment)?[.:]?[\s-]*$/i,
  /^[\s>*|-]*(?:included|below|enclosed|attached|here) is (?:a |the )?(?:copy|header|original)/i,
  /^[\s>*|-]*(?:the )?headers? (?:of|from) (?:the|your) (?:original )?(?:message|mail)/i,
];
const HEADER_LINE = /^(?:received|return-path|dkim-signature|x-received|message-id|arc-seal):\s*\S/i;

/** An address at the start of a line, and what follows it there. */
export const ADDRESS_LINE = new RegExp(
  `^[\\s>*|-]*(?:[245]\\d\\d )?(?:(?:recipient|recipient address|final-recipient)\\s*:\\s*)?[<"']?(${ADDRESS})[>"']?(?:<mailto:[^<>\\s]{1,320}>)?(?=$|[\\s:;,.(\\[<])(.*)$`,
  'iu',
);
/** An address inside a sentence about it. */
export const TOLD: readonly RegExp[] = [
  new RegExp(`rcpt to:?\\s*<?(${ADDRESS})`, 'iu'),
  new RegExp(
    `(?:deliver|delivered|delivery|sent?|message|mail|reach)\\b[^@\\n]{0,80}?\\bto:?\\s+(?:the following (?:address|recipient)s?:?\\s*)?<?(${ADDRESS})`,
    'iu',
  ),
  new RegExp(
    `(?:recipients?|user|mailbox|address|account|addressee)\\b[^@\\n]{0,60}?[\\s:<(](${ADDRESS})`,
    'iu',
  ),
];

const MAX_LINES = 2_000;
const MAX_BLOCK_CHARS = 3_000;
const MAX_RECIPIENTS = 20;

/**
 * `failed` are recipients a header names (X-Failed-Recipients); `own` are the addresses of the sender, which such a text
 * mentions without meaning them.
 */
export function readTextReport(text: string, failed: readonly string[], own: readonly string[]): TextReport {
  const { notice, original } = splitCopy(text);
  const blocks = addressBlocks(notice);
  const named = (address: string) => failed.some((one) => sameAddress(one, address));
  const known = failed.length > 0 ? blocks.filter(({ recipient }) => named(recipient)) : blocks;
  const missing = failed.filter((one) => !known.some(({ recipient }) => sameAddress(recipient, one)));
  const found = [...known, ...missing.map((recipient) => ({ recipient, text: '' }))];
  if (found.length > 0) return { recipients: found.slice(0, MAX_RECIPIENTS), notice, original };
  const told = toldRecipient(notice, own) ?? originalRecipient(original, own);
  return { recipients: told === null ? [] : [{ recipient: told, text: '' }], notice, original };
}

function splitCopy(text: string): { notice: string; original: HeaderBlock | null } {
  const lines = text.split(/\r?\n/).slice(0, MAX_LINES);
  const marker = lines.findIndex(
    (line) => isRuledOff(line) || COPY_BELOW.some((pattern) => pattern.test(line)),
  );
  const header = lines.findIndex((line) => HEADER_LINE.test(line));
  const cuts = [marker, header].filter((at) => at !== -1);
  if (cuts.length === 0) return { notice: lines.join('\n'), original: null };
  const cut = Math.min(...cuts);
  const rest = lines
    .slice(cut)
    .findIndex((line, at) => (cut !== header && at === 0 ? false : /^[\w-]+:\s*\S/.test(line)));
  return {
    notice: lines.slice(0, cut).join('\n'),
    original: rest === -1 ? null : parseHeaderBlock(lines.slice(cut + rest).join('\n')),
  };
}

/** `---- This is a copy of the message ----`. In two steps, as one pattern for both takes minutes for a line of dashes. */
function isRuledOff(line: string): boolean {
  const rule = /^[\s>|*-]*/.exec(line)?.[0] ?? '';
  const dashes = rule.lastIndexOf('--');
  if (dashes === -1) return false;
  const words = COPY_WORDS.exec(line.slice(dashes + 2, dashes + 2 + WORDS_WITHIN + WORDS_CHARS));
  return words !== null && words.index <= WORDS_WITHIN;
}

/** The text from each line that begins with an address up to the next such line; one address may have several. */
function addressBlocks(notice: string): { recipient: string; text: string }[] {
  const blocks = new Map<string, { recipient: string; text: string }>();
  let current: { recipient: string; text: string } | null = null;
  for (const line of notice.split('\n')) {
    const match = ADDRESS_LINE.exec(line);
    const address = match?.[1] === undefined ? undefined : addressesIn(match[1])[0];
    if (address !== undefined && !current?.text.endsWith(':')) {
      const key = address.toLowerCase();
      current = blocks.get(key) ?? { recipient: address, text: '' };
      blocks.set(key, current);
    }
    if (current && current.text.length < MAX_BLOCK_CHARS) {
      current.text += `\n${address === undefined ? line : (match?.[2] ?? '')}`;
    }
  }
  return [...blocks.values()];
}

function toldRecipient(notice: string, own: readonly string[]): string | null {
  const flat = notice
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');
  const foreign = (address: string) => !own.some((one) => sameAddress(one, address));
  for (const pattern of TOLD) {
    const found = addressesIn(pattern.exec(flat)?.[1] ?? '')[0];
    if (found !== undefined && foreign(found)) return found;
  }
  return addressesIn(notice).find(foreign) ?? null;
}

function originalRecipient(original: HeaderBlock | null, own: readonly string[]): string | null {
  const to = (original?.get('to') ?? []).flatMap(addressesIn);
  return to.find((address) => !own.some((one) => sameAddress(one, address))) ?? to[0] ?? null;
}
