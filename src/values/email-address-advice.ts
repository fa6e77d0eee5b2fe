import { isDisposableDomain } from './disposable-domains.js';
import { isRoleAccount, localPartOf, parseEmailAddress, suggestDomain } from './email-address.js';

/** What is worth saying about an address that can be written to; none of it is a reason to refuse it. */
export interface AddressAdvice {
  /** The address that was probably meant, such as that at gmail.com for gmial.com; null when nothing looks wrong. */
  suggestion: string | null;
  /** A mailbox that is thrown away after minutes. */
  disposable: boolean;
  /** A function such as info@, read by several people or by nobody. */
  role: boolean;
}

type AddressReview = ({ ok: true } & AddressAdvice) | { ok: false; reason: string };

/** Advice on an address that `parseEmailAddress` has accepted. */
export function adviseOnAddress({ address, domain }: { address: string; domain: string }): AddressAdvice {
  const local = localPartOf(address);
  const { meant, disposable } = judgeDomain(domain);
  return {
    suggestion: meant === null ? null : `${local}@${meant}`,
    disposable,
    role: isRoleAccount(local),
  };
}

/** A million addresses have a few thousand domains, and comparing one with all providers is the dearest part of a row. */
const MOST_REMEMBERED = 10_000;
const remembered = new Map<string, DomainAdvice>();

interface DomainAdvice {
  meant: string | null;
  disposable: boolean;
}

function judgeDomain(domain: string): DomainAdvice {
  const known = remembered.get(domain);
  if (known) return known;
  const meant = suggestDomain(domain);
  // The lists have misspellings of large providers, too: whoever typed one has an ordinary mailbox.
  const advice = { meant, disposable: meant === null && isDisposableDomain(domain) };
  if (remembered.size >= MOST_REMEMBERED) remembered.clear();
  remembered.set(domain, advice);
  return advice;
}

/** Whether an address can be written to, and what is worth saying about it. */
export function reviewEmailAddress(input: string): AddressReview {
  const parsed = parseEmailAddress(input);
  return parsed.ok ? { ok: true, ...adviseOnAddress(parsed) } : { ok: false, reason: parsed.reason };
}

/** The address that was probably meant, to say where the mail went; the sign-up stands as it was typed. */
export function suggestionFor(email: string): string | null {
  const review = reviewEmailAddress(email);
  return review.ok ? review.suggestion : null;
}
