import { isHandTool, judgeUserAgent } from './user-agent.js';

/**
 * Stored with every hit, so that numbers of different rules are never compared unawares. Raise it with any change here,
 * in `user-agent.ts` or in `burst.ts`: `tracking.reclassify` then judges the older hits anew.
 */
export const HIT_RULE_VERSION = 2;

/**
 * `proxy`: a mail service or a browser fetched it ahead, on behalf of a person; `scanner`: a program looked at it for
 * itself; `unknown`: no sign either way.
 */
export type HitClass = 'human' | 'proxy' | 'scanner' | 'unknown';

/** All that the rules look at. It is kept with the hit, so that later rules can judge it again. */
export interface Hit {
  kind: 'open' | 'click' | 'visit';
  /** Null in hits of the first release, which did not keep it. */
  method: string | null;
  userAgent: string | null;
  /** `Sec-Purpose` or the older `Purpose` and `X-Moz` headers. */
  purpose: string | null;
  /** Browsers always name the reader's languages. Null where it was not kept. */
  hasAcceptLanguage: boolean | null;
  /** `Sec-Fetch-Dest`: what the answer is meant to become, `document` when a person opens a link. */
  fetchDest: string | null;
  /** A mail service's own network; see `network.ts`. */
  network: string | null;
  /** From this machine, while the built-in mailbox is in use: every mail of this installation is read on it. */
  local: boolean;
  at: Date;
  /** When the relay took the mail, or was given it; null for visits and mails not sent yet. */
  acceptedAt: Date | null;
}

export interface HitVerdict {
  class: HitClass;
  /** Short and stable; shown beside the hit. */
  reason: string;
}

/** Nobody reads a mail and presses a link in less; filters follow links while the mail is still being delivered. */
export const FASTEST_READER_MS = 2_000;
const HERE = 'built-in mailbox: nothing stands between';

/** The verdict on what no rule applies to. */
export const PERSON: HitVerdict = { class: 'human', reason: 'no sign of a machine' };

interface Rule {
  class: HitClass;
  reason: string;
  applies(hit: Hit, userAgent: string): boolean;
}

const pressed = ({ kind }: Hit): boolean => kind === 'click';

/** The first rule that applies decides. */
const RULES: readonly Rule[] = [
  { class: 'scanner', reason: 'HEAD request', applies: ({ method }) => method === 'HEAD' },
  {
    class: 'proxy',
    reason: 'prefetch',
    applies: ({ purpose }) => /prefetch|preview|prerender/i.test(purpose ?? ''),
  },
  {
    class: 'proxy',
    reason: 'mail image proxy',
    applies: (_, userAgent) => judgedBefore(userAgent).kind === 'proxy',
  },
  { class: 'human', reason: HERE, applies: ({ local }, userAgent) => local && isHandTool(userAgent) },
  { class: 'scanner', reason: 'no user agent', applies: (_, userAgent) => userAgent === '' },
  {
    class: 'scanner',
    reason: 'user agent of a program',
    applies: (_, userAgent) => judgedBefore(userAgent).kind === 'scanner',
  },
  { class: 'human', reason: HERE, applies: ({ local }) => local },
  {
    class: 'proxy',
    reason: 'from the network of a mail service',
    applies: ({ kind, network }) => kind === 'open' && network !== null,
  },
  {
    class: 'scanner',
    reason: 'loaded as a part of some page',
    applies: (hit) =>
      pressed(hit) && /^(?:image|script|style|iframe|frame|embed|object)$/.test(hit.fetchDest ?? ''),
  },
  {
    class: 'scanner',
    reason: 'faster than anybody reads',
    applies: (hit) =>
      pressed(hit) &&
      hit.acceptedAt !== null &&
      hit.at.getTime() - hit.acceptedAt.getTime() < FASTEST_READER_MS,
  },
  {
    class: 'unknown',
    reason: 'browser with a strange name on it',
    applies: (_, userAgent) => judgedBefore(userAgent).kind === 'foreign',
  },
  {
    class: 'unknown',
    reason: 'browser that names no language',
    applies: ({ kind, hasAcceptLanguage }) => kind !== 'open' && hasAcceptLanguage === false,
  },
];

/** Who most likely stands behind a request. Pure; the same hit is always judged the same within a rule version. */
export function classifyHit(hit: Hit): HitVerdict {
  const userAgent = (hit.userAgent ?? '').trim();
  const rule = RULES.find((candidate) => candidate.applies(hit, userAgent));
  return rule ? { class: rule.class, reason: rule.reason } : PERSON;
}

/** Whether what else comes from the same mail may still show a machine: not of a tool beside the built-in mailbox. */
export function mayBeBurst({ kind, local, userAgent }: Pick<Hit, 'kind' | 'local' | 'userAgent'>): boolean {
  return kind === 'click' && !(local && isHandTool(userAgent ?? ''));
}

/** 127.0.0.0/8, ::1 and the same mapped into IPv6. */
export function isLoopback(ip: string): boolean {
  return ip === '::1' || /^(?:::ffff:)?127\./i.test(ip);
}

/** The few hundred user agents that most readers share are judged once; the rest makes way. */
const judged = new Map<string, ReturnType<typeof judgeUserAgent>>();
const MOST_REMEMBERED = 2_000;

function judgedBefore(userAgent: string): ReturnType<typeof judgeUserAgent> {
  const known = judged.get(userAgent);
  if (known) return known;
  if (judged.size >= MOST_REMEMBERED) judged.clear();
  const verdict = judgeUserAgent(userAgent);
  judged.set(userAgent, verdict);
  return verdict;
}
