import { isbot } from 'isbot';

/** Stored with every hit, so that numbers of different rules are never compared unawares. Raise it with any change here. */
export const HIT_RULE_VERSION = 1;

/** `proxy`: a mail service fetched it on behalf of a person; `scanner`: a program looked at it for itself. */
export type HitClass = 'human' | 'proxy' | 'scanner';

export interface Hit {
  kind: 'open' | 'click' | 'visit';
  method: string;
  userAgent: string | undefined;
  /** `Sec-Purpose` or the older `Purpose` and `X-Moz` headers. */
  purpose: string | undefined;
  /** Of the connection, not of a header anybody can send. */
  fromLoopback: boolean;
  /** The built-in mailbox is in use: every mail of this installation is read on it. */
  mailboxOn: boolean;
  at: Date;
  /** When the relay took the mail; null for visits and mails not sent yet. */
  acceptedAt: Date | null;
}

export interface HitVerdict {
  class: HitClass;
  /** Short and stable; shown beside the hit. */
  reason: string;
}

/** Nobody reads a mail and presses a link in less; filters follow links while the mail is still being delivered. */
const FASTEST_READER_MS = 2_000;

/** Mail services that fetch pictures for the reader, at any time, whether or not the mail is looked at. */
const MAIL_PROXY =
  /GoogleImageProxy|ggpht\.com|YahooMailProxy|^Mozilla\/5\.0$|^Mozilla\/5\.0 \(Windows NT 5\.1; rv:11\.0\) Gecko Firefox\/11\.0 \(via/i;

/**
 * Programs that give themselves out for a browser and that isbot's list does not name: page testers, archivers, editors
 * that drive a browser, and the fetchers behind the previews of Meta's apps (their in-app browsers for people do not
 * carry these marks).
 */
const MORE_MACHINES =
  /\b(?:Code|Trae|Cursor|Windsurf|VSCodium)\/[\d.]+ Chrome\/|\bFluid\/|\bTSM-turingos\b|\bGTmetrix\b|\bMiniature\.io\/|\) YLT Chrome\/|\bIABMV\/\d+\) NV\/\d|\bMetaIAB Facebook$/;

interface Rule {
  class: HitClass;
  reason: string;
  applies(hit: Hit): boolean;
}

/** The first rule that applies decides. */
const RULES: readonly Rule[] = [
  { class: 'scanner', reason: 'HEAD request', applies: ({ method }) => method === 'HEAD' },
  {
    class: 'proxy',
    reason: 'prefetch',
    applies: ({ purpose }) => /prefetch|preview|prerender/i.test(purpose ?? ''),
  },
  {
    class: 'human',
    reason: 'built-in mailbox: nothing stands between',
    applies: ({ mailboxOn, fromLoopback }) => mailboxOn && fromLoopback,
  },
  {
    class: 'proxy',
    reason: 'mail image proxy',
    applies: ({ userAgent }) => userAgent !== undefined && MAIL_PROXY.test(userAgent),
  },
  { class: 'scanner', reason: 'no user agent', applies: ({ userAgent }) => (userAgent ?? '').trim() === '' },
  {
    class: 'scanner',
    reason: 'user agent of a program',
    applies: ({ userAgent }) => isMachineUserAgent(userAgent ?? ''),
  },
  {
    class: 'scanner',
    reason: 'faster than anybody reads',
    applies: ({ kind, at, acceptedAt }) =>
      kind === 'click' && acceptedAt !== null && at.getTime() - acceptedAt.getTime() < FASTEST_READER_MS,
  },
];

/** Who most likely stands behind a request. Pure; the same hit is always judged the same within a rule version. */
export function classifyHit(hit: Hit): HitVerdict {
  const rule = RULES.find((candidate) => candidate.applies(hit));
  return rule
    ? { class: rule.class, reason: rule.reason }
    : { class: 'human', reason: 'no sign of a machine' };
}

/** Whether the user agent is that of a crawler, scanner, proxy or library rather than a person's browser. Empty: yes. */
export function isMachineUserAgent(userAgent: string): boolean {
  return (
    userAgent.trim() === '' || isbot(userAgent) || MAIL_PROXY.test(userAgent) || MORE_MACHINES.test(userAgent)
  );
}

/** 127.0.0.0/8, ::1 and the same mapped into IPv6. */
export function isLoopback(ip: string): boolean {
  return ip === '::1' || /^(?:::ffff:)?127\./i.test(ip);
}
