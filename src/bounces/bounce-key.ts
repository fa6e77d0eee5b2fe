import { createHash } from 'node:crypto';
import type { Finding } from './judged-mail.js';

const DAY_CHARS = 10;

/** The same report, told twice on one day, counts once: by mail, reporting server and status. */
export function trustedKey(messageId: string, mta: string | null, found: Finding, at: Date): string {
  return ['report', messageId, digest(mta ?? ''), found.verdict, found.status ?? found.reason, day(at)].join(
    ':',
  );
}

/**
 * One that may be forged: it takes no true one's place, and whatever servers and codes are made up, a mail has one a day for
 * each reason. Whoever was passed a mail could fill the disk by it.
 */
export function doubtedKey(messageId: string, found: Finding, at: Date): string {
  return `link:${trustedKey(messageId, null, { ...found, status: null }, at)}`;
}

/** A report without a token of ours: kept once a day for what it says, and changes nothing. */
export function untrustedKey(mta: string | null, found: Finding, at: Date): string {
  const said = [mta, found.recipient, found.verdict, found.status, found.reason, found.diagnostic].join('\0');
  return `untrusted:${digest(said)}:${day(at)}`;
}

/** In any script: `x@bücher.de` is one, too. What ends a sentence is no part of it. */
const ADDRESS =
  /(?:"[^"\s]{1,62}"|[^\s<>"(),:;@]{1,128})@(?:\[[^\s<>[\]]{1,100}\]|[^\s<>"(),:;@]{0,254}[\p{L}\p{M}\p{N}])/gu;

/** What a server said, without the addresses in it: those are kept in one place only. */
export function withoutAddresses(text: string): string {
  return text.replaceAll('\0', '').replace(ADDRESS, '…');
}

function day(at: Date): string {
  return at.toISOString().slice(0, DAY_CHARS);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
