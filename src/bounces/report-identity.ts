import { readUnsubscribeAddress, readVerp } from '../delivery/mails/verp.js';
import { readLeaveToken } from '../subscribers/leave-token.js';
import { domainOf, localPartOf } from '../values/email-address.js';
import { addressesIn } from './addresses.js';
import { field, type HeaderBlock } from './header-block.js';

export interface ReportClues {
  /** Addresses the report went to: the envelope's, and those of its headers. */
  addressedTo: readonly string[];
  /** Headers of the mails it brings back. */
  originals: readonly HeaderBlock[];
  /** What the provider answered when it took the mail. */
  takenAs?: { reply: string } | undefined;
}

const LINK_TOKEN = /\/u\/([A-Za-z0-9_-]{20,200})/;

/**
 * The mail a report is about, by the token of its return path. Null when there is none, however plausible the rest
 * looks: an address alone would let anybody silence anybody.
 *
 * The servers on its way see a return path, and the mailbox it lies in: it stands in the headers of a delivered mail
 * (RFC 5321 §4.4), so who was passed that mail as a file has it, too. What the report may do beside that depends on who
 * sent it, see `BouncesService`.
 */
export function messageByReturnPath(secret: Buffer, { addressedTo, originals }: ReportClues): string | null {
  const returnPaths = originals.flatMap((block) =>
    ['return-path', 'x-envelope-from', 'errors-to'].map((name) => field(block, name)),
  );
  for (const address of [...addressedTo, ...returnPaths.flatMap(addressesIn)]) {
    const found = readVerp(secret, localPartOf(address));
    if (found !== null) return found;
  }
  return null;
}

/**
 * The mail a report is about, by the token in the List-Unsubscribe that came back. The same token stands in the mail's
 * text, and whoever it was passed on to has it: the report may do what the link does and no more.
 */
export function messageByUnsubscribeLink(
  secret: Buffer,
  { originals }: Pick<ReportClues, 'originals'>,
): string | null {
  for (const block of originals) {
    const token = leaveToken(field(block, 'list-unsubscribe'));
    const found = token === null ? null : readLeaveToken(secret, 'unsubscribe', token);
    if (found !== null) return found.messageId;
  }
  return null;
}

/**
 * Message-IDs that may be ours, for a look into the ledger: they are made under our secret, so only who has had the mail,
 * or an answer to it, can name one. Some relays put their own in its place and leave our `X-Wellspring-Id`. Without control
 * characters: PostgreSQL refuses to be asked for a NUL, as often as the report is brought.
 */
export function messageIdHeaders(originals: readonly HeaderBlock[]): string[] {
  return originals.flatMap((block) => {
    const given = /<[a-z2-7]{26}@[^\s<>\p{Cc}]{1,255}>/u.exec(field(block, 'message-id'))?.[0];
    const own = /^[a-z2-7]{26}$/.exec(field(block, 'x-wellspring-id'))?.[0];
    const from = addressesIn(field(block, 'from')).find((one) => !/\p{Cc}/u.test(one));
    return [given, own === undefined || from === undefined ? undefined : `<${own}@${domainOf(from)}>`].filter(
      (one) => one !== undefined,
    );
  });
}

function leaveToken(header: string): string | null {
  const link = LINK_TOKEN.exec(header)?.[1];
  if (link !== undefined) return link;
  const mailto = /mailto:([^\s<>?@]{1,64})@/i.exec(header)?.[1];
  return mailto === undefined ? null : readUnsubscribeAddress(mailto);
}
