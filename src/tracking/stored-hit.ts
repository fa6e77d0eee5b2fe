import type { MailHit } from './burst.js';
import type { HitVerdict } from './hit-class.js';

/** A stored hit with what it needs to be judged again, and how it is judged now. */
export interface StoredHit extends MailHit {
  judged: HitVerdict;
  ruleVersion: number;
  settlesAt: Date | null;
}

export interface NewVerdict extends HitVerdict {
  id: string;
  /** The verdict it replaces, to be kept; null for a first one, and when it is the same. */
  replaces: (HitVerdict & { ruleVersion: number }) | null;
}

/** The hit's present verdict, when `verdict` says otherwise. */
export function replaced({ judged, ruleVersion }: StoredHit, verdict: HitVerdict): NewVerdict['replaces'] {
  const same = judged.class === verdict.class && judged.reason === verdict.reason;
  return same ? null : { ...judged, ruleVersion };
}

/** Whether its reader was erased: what the verdict was based on is gone, so the verdict stays. */
export function isForgotten({ userAgent, client }: StoredHit): boolean {
  return userAgent === null && client.startsWith(NOBODY);
}

/** How `client` begins where no address was kept. */
export const NOBODY = 'hit ';

/** The first release kept the verdict, but not all it was based on. What the reason tells is put back. */
export function withFacts(hit: StoredHit): StoredHit {
  if (hit.method !== null) return hit;
  const { reason } = hit.judged;
  return {
    ...hit,
    method: reason === 'HEAD request' ? 'HEAD' : null,
    purpose: hit.purpose ?? (reason === 'prefetch' ? 'prefetch' : null),
    local: reason.startsWith('built-in mailbox'),
    acceptedAt: hit.acceptedAt ?? (reason === 'faster than anybody reads' ? hit.at : null),
  };
}
