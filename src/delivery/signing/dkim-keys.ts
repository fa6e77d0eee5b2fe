import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { domainToASCII } from 'node:url';
import { getDomain } from 'tldts';
import { DomainError } from '../../values/domain-error.js';
import type { DkimKey } from './dkim.js';

/** RFC 8301 §3.2: verifiers must not accept shorter ones. From 2048 on `doctor` is silent. */
const SHORTEST_RSA_BITS = 1024;
const LABELS = /^(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/;

/** The domain as A-labels in lower case. Throws `DKIM_DOMAIN_INVALID`. */
export function dkimDomain(domain: string): string {
  const ascii = domainToASCII(domain);
  if (LABELS.test(ascii) && ascii.includes('.') && ascii.length <= 253) return ascii;
  throw new DomainError('DKIM_DOMAIN_INVALID', `"${domain}" is no domain; use one like example.com`);
}

/** Throws `DKIM_SELECTOR_INVALID`. */
export function dkimSelector(selector: string): string {
  if (LABELS.test(selector)) return selector;
  throw new DomainError(
    'DKIM_SELECTOR_INVALID',
    `"${selector}" is no selector; use lower-case letters, digits and inner hyphens, such as ws202603`,
  );
}

/** Sorts behind the ones made before it, so that the newest key signs. */
export function datedSelector(now: Date, kind: 'rsa' | 'ed25519'): string {
  return `${kind === 'rsa' ? 'ws' : 'wsed'}${now.toISOString().slice(0, 7).replace('-', '')}`;
}

/** Throws `DKIM_KEY_INVALID`, naming `path`: a key that cannot sign must be seen at the start, not in mails without one. */
export function readDkimKey(path: string, pem: string): KeyObject {
  const bad = (reason: string, cause?: unknown): DomainError =>
    new DomainError('DKIM_KEY_INVALID', `${path}: ${reason}`, { path }, { cause });
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw bad('this is no private key in PEM without a passphrase', cause);
  }
  const kind = key.asymmetricKeyType;
  if (kind !== 'rsa' && kind !== 'ed25519') throw bad(`a DKIM key is rsa or ed25519, not ${kind}`);
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (kind === 'rsa' && bits < SHORTEST_RSA_BITS)
    throw bad(
      `an RSA key of ${bits} bits is ignored by receivers; ${SHORTEST_RSA_BITS} is the least, 2048 usual`,
    );
  return key;
}

/**
 * Of all keys of one domain those that sign: the RSA key whose selector sorts last, and the last Ed25519 key beside it.
 * Throws `DKIM_KEY_INVALID` when there is no RSA key: most receivers could not check a mail signed by Ed25519 alone.
 */
export function signingKeys(domain: string, keys: readonly DkimKey[]): DkimKey[] {
  const last = (kind: string): DkimKey | undefined =>
    keys
      .filter(({ privateKey }) => privateKey.asymmetricKeyType === kind)
      .toSorted((a, b) => (a.selector < b.selector ? -1 : 1))
      .at(-1);
  const [rsa, ed25519] = [last('rsa'), last('ed25519')];
  if (!rsa && ed25519)
    throw new DomainError('DKIM_KEY_INVALID', `${domain}: an Ed25519 key signs only beside an RSA key`, {
      domain,
    });
  return [rsa, ed25519].filter((key) => key !== undefined);
}

/** The domain itself, then what stands above it up to the organisational domain: all align with it (RFC 9989 §3.3). */
export function alignedDomains(senderDomain: string): string[] {
  const domain = domainToASCII(senderDomain).toLowerCase();
  const organisation = getDomain(domain, { allowPrivateDomains: true }) ?? domain;
  const domains = [domain];
  for (let next = domain; next !== organisation && next.includes('.');) {
    next = next.slice(next.indexOf('.') + 1);
    domains.push(next);
  }
  return domains;
}

export function publicHalf({ privateKey }: Pick<DkimKey, 'privateKey'>): KeyObject {
  return createPublicKey(privateKey);
}
