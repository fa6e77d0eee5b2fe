import { createHash } from 'node:crypto';
import { domainOf } from '../../values/email-address.js';
import type { ClaimedMessage } from '../message/message.js';

/** One mail that a relay has put off with words about a system's own state. */
interface PutOffMail {
  id: string;
  templateId: string;
  /** Tells one receiver from another, and names none. */
  receiver: string;
  /** Said at the mail's end, of a mail system: no receiver greylists so. */
  plain: boolean;
  /** On the application's clock. */
  atMs: number;
}

/**
 * What a relay was tried with and put off since it last took a mail. It tells a relay that puts off whatever it is given, as
 * one whose disk is full, from one mail or one receiver that is put off: what speaks behind MAIL FROM may be either.
 */
export interface PutOffs {
  mails: PutOffMail[];
  /** Templates that it puts off while it takes others: it is their words, and they say nothing of the relay. */
  blamed: string[];
}

export const NO_PUT_OFFS: PutOffs = { mails: [], blamed: [] };

/** Of a relay that was known to be out and is tried by one mail after the other. */
const OUT = { receivers: 2, mails: 5 };
/** Of one that was believed to work: receivers that greylist in words of their own must not shut it. */
const WORKING = { receivers: 3, mails: 10, plain: 5 };
/** Beyond so many kinds of mails it is the relay. */
const TEMPLATES = 20;
/**
 * Those before say nothing of how the relay is now: a worker that is nearly idle may have seen none taken since, while others
 * had thousands taken. Longer than the pause of a relay that is out, and the try after it.
 */
const COUNTS_MS = 20 * 60_000;

export function putOffMail(
  { id, address, templateId }: Pick<ClaimedMessage, 'id' | 'address' | 'templateId'>,
  { plain, atMs }: Pick<PutOffMail, 'plain' | 'atMs'>,
): PutOffMail {
  const receiver = createHash('sha256').update(domainOf(address)).digest('base64url').slice(0, 12);
  return { id, templateId, receiver, plain, atMs };
}

/**
 * The same mail, tried again, proves nothing new. No more is kept than it takes, the last before the others: an outage may be
 * long. None is of long ago, nor of a clock that was ahead, by the instant `nowMs`.
 */
export function withPutOffs(known: PutOffs, more: PutOffs, nowMs: number): PutOffs {
  const blamed = [...new Set([...known.blamed, ...more.blamed])].slice(-TEMPLATES);
  const mails: PutOffMail[] = [];
  const counting = [...known.mails, ...more.mails].filter(({ atMs }) => Math.abs(nowMs - atMs) <= COUNTS_MS);
  for (const mail of counting.toSorted((a, b) => b.atMs - a.atMs)) {
    if (blamed.includes(mail.templateId) || mails.some(({ id }) => id === mail.id)) continue;
    if (mails.length < WORKING.mails || tellsMore(mail, mails)) mails.push(mail);
  }
  return { mails, blamed };
}

/** Than so many that are known: else ten of one receiver would hide that the relay puts off those of all others, too. */
function tellsMore(mail: PutOffMail, mails: readonly PutOffMail[]): boolean {
  const kinds = templatesOf(mails);
  const receivers = receiversOf(mails);
  return (
    (kinds.length < TEMPLATES && !kinds.includes(mail.templateId)) ||
    (receivers.size < WORKING.receivers && !receivers.has(mail.receiver)) ||
    (mail.plain && plainOf(mails) < WORKING.plain)
  );
}

/**
 * After the relay has shown that it works; the same object where that changes nothing. `taken`: the template of the mail that it
 * took; null when it did no more than judge one. `tried`: it was out, and the mail was to find out whether it still is. Then
 * what it had put off, if that was of other templates, was put off for its words.
 */
export function afterTaken(known: PutOffs, taken: string | null, tried: boolean): PutOffs {
  if (known.mails.length === 0 && (taken === null || !known.blamed.includes(taken))) return known;
  const templates = templatesOf(known.mails);
  const isOther = taken !== null && !templates.includes(taken);
  const words = tried && isOther && isRelay(known, true) ? templates : [];
  const blamed = [...known.blamed.filter((one) => one !== taken), ...words];
  return { mails: [], blamed: blamed.slice(-TEMPLATES) };
}

/** Whether it is the relay. `out`: it was known to be out. */
export function isRelay({ mails }: PutOffs, out: boolean): boolean {
  const receivers = receiversOf(mails).size;
  if (out) return receivers >= OUT.receivers || mails.length >= OUT.mails;
  return plainOf(mails) >= WORKING.plain || (receivers >= WORKING.receivers && mails.length >= WORKING.mails);
}

/**
 * What the next try of a relay that is out is not to be made with, as long as there is something else. First neither the
 * templates that it was tried with, once it seems to be the relay, nor the blamed: it may be their words, which a filter in
 * it does not like and other mails do not have. Then the blamed alone: their being put off says nothing of it. Else a broadcast
 * that is first in line each time would keep a relay that works shut for all.
 */
export function templatesToPassOver({ mails, blamed }: PutOffs): { tried: string[]; blamed: string[] } {
  return { tried: isRelay({ mails, blamed }, true) ? templatesOf(mails) : [], blamed };
}

function templatesOf(mails: readonly PutOffMail[]): string[] {
  return [...new Set(mails.map(({ templateId }) => templateId))];
}

function receiversOf(mails: readonly PutOffMail[]): Set<string> {
  return new Set(mails.map(({ receiver }) => receiver));
}

function plainOf(mails: readonly PutOffMail[]): number {
  return mails.filter(({ plain }) => plain).length;
}
