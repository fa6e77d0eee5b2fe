import { addressIn, sameAddress } from './addresses.js';
import { field, parseHeaderBlock, type HeaderBlock } from './header-block.js';

/** One recipient's part of a delivery report (RFC 3464 §2.3). */
export interface RecipientReport {
  recipient: string | null;
  action: string;
  status: string | null;
  replyCode: number | null;
  diagnostic: string;
  /** What PowerMTA has made of the reply; null from others. */
  category: string | null;
}

interface DeliveryReport {
  reportingMta: string | null;
  recipients: RecipientReport[];
}

/** A mail of ours has one, and an alias of others may have hundreds. Each is judged by all the words of the report, which takes its time. */
const MAX_RECIPIENTS = 20;

/**
 * Reads one message/delivery-status part, or a text that holds its fields. `sentTo`: whom the mail went to; of more recipients
 * than are read, those come first.
 */
export function parseDeliveryReport(text: string, sentTo: readonly string[] = []): DeliveryReport {
  const blocks = splitBlocks(text).map(parseHeaderBlock);
  const reportingMta = blocks.map((block) => field(block, 'reporting-mta')).find((value) => value !== '');
  return {
    reportingMta: reportingMta === undefined ? null : typed(reportingMta).slice(0, 255),
    recipients: theFirst(blocks.filter(isRecipient).map(toRecipient), sentTo),
  };
}

function theFirst(recipients: RecipientReport[], sentTo: readonly string[]): RecipientReport[] {
  if (recipients.length <= MAX_RECIPIENTS) return recipients;
  const isMeant = ({ recipient }: RecipientReport): boolean =>
    recipient !== null && sentTo.some((one) => sameAddress(one, recipient));
  const meant = recipients.filter(isMeant);
  return [...meant, ...recipients.filter((one) => !isMeant(one))].slice(0, MAX_RECIPIENTS);
}

/**
 * Blocks are parted by empty lines. Some gateways leave those out: a second Final-Recipient begins a new block too, and
 * a lone Action or Status belongs to the block before it.
 */
function splitBlocks(text: string): string[] {
  const blocks: string[][] = [[]];
  let seen = false;
  for (const line of text.split(/\r?\n/)) {
    const first = /^final-recipient\s*:/i.test(line);
    if (line.trim() === '' || (first && seen)) {
      blocks.push([]);
      seen = false;
    }
    if (first) seen = true;
    if (line.trim() !== '') blocks.at(-1)?.push(line);
  }
  return blocks.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'));
}

function isRecipient(block: HeaderBlock): boolean {
  return block.has('final-recipient') || (block.has('original-recipient') && block.has('action'));
}

function toRecipient(block: HeaderBlock): RecipientReport {
  const names = ['final-recipient', 'original-recipient', 'x-actual-recipient'];
  const recipients = names
    .map((name) => addressIn(unescaped(typed(field(block, name)))))
    .filter((one) => one !== null);
  // `x-unix` stays: it is what says that a local program failed, and not a server.
  const codes = block.get('diagnostic-code') ?? [];
  const diagnostic = codes.map((code) => (/^x-unix/i.test(code) ? code : typed(code))).join(' ');
  return {
    recipient: recipients[0] ?? null,
    action: field(block, 'action').toLowerCase().split(/\s/)[0] ?? '',
    status: statusIn(field(block, 'status')),
    replyCode: replyCodeIn(diagnostic),
    diagnostic,
    category: field(block, 'x-powermta-bouncecategory').toLowerCase() || null,
  };
}

/** `5.1.1` out of `5.1.1 (no such user)`. */
export function statusIn(text: string): string | null {
  return /(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])/.exec(text)?.[0] ?? null;
}

/** The first number that stands as a refusal in an SMTP reply. */
export function replyCodeIn(text: string): number | null {
  const found = /(?:^|[\s:;(<[>'"])([45]\d\d)(?=[\s\-:=#,]|$)/.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}

/** `\x{E9}` in a `utf-8;` address is one letter (RFC 6533 §3). */
function unescaped(value: string): string {
  return value.replace(/\\x\{([0-9a-f]{1,6})\}/gi, (written, hex: string) => {
    const code = Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : written;
  });
}

/** Takes off the `smtp;` or `rfc822;` in front of a value. */
function typed(value: string): string {
  return value.replace(/^[a-z0-9-]{1,20}\s*;\s*/i, '').trim();
}
