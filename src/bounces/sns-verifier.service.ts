import { X509Certificate } from 'node:crypto';
import { Inject, Injectable, Optional } from '@nestjs/common';
import { DomainError } from '../values/domain-error.js';
import { amazonUrl, isSignedBy, type SnsMessage } from './providers/sns.js';

/** Injection token: how an address of Amazon's is fetched. Tests bring their own. */
const FETCH_AMAZON = Symbol('fetch from Amazon');
/** Null where Amazon has nothing at the address; throws when it could not be asked, or had no time. */
type FetchAmazon = (url: URL) => Promise<string | null>;

const TIMEOUT_MS = 5_000;
const MAX_CHARS = 64_000;
const MAX_CERTIFICATES = 10;

/** Signatures of SNS, by certificates that Amazon hands out at its own host. */
@Injectable()
export class SnsVerifier {
  readonly #certificates = new Map<string, X509Certificate>();
  readonly #fetch: FetchAmazon;

  constructor(@Optional() @Inject(FETCH_AMAZON) fetchAmazon?: FetchAmazon) {
    this.#fetch = fetchAmazon ?? fetchText;
  }

  /**
   * False for any message Amazon has not signed, and when the certificate has run out or there is none. Throws
   * `HOOK_UNREACHABLE` when it cannot be had just now: Amazon sends again what was answered so, and never what was refused.
   */
  async isGenuine(message: SnsMessage, now: Date): Promise<boolean> {
    const url = amazonUrl(message.SigningCertURL);
    if (url === null || !/^\/[\w.-]{1,200}\.pem$/.test(url.pathname) || url.search !== '') return false;
    const certificate = await this.certificate(url);
    if (certificate === null) return false;
    const inTime = new Date(certificate.validFrom) <= now && now <= new Date(certificate.validTo);
    return inTime && isSignedBy(certificate.publicKey, message);
  }

  /** Says yes to a subscription. The message must be genuine; its address must be Amazon's all the same. */
  async confirm({ SubscribeURL }: SnsMessage): Promise<boolean> {
    const url = amazonUrl(SubscribeURL ?? '');
    if (url === null || url.searchParams.get('Action') !== 'ConfirmSubscription') return false;
    return (await this.ask(url)) !== null;
  }

  private async certificate(url: URL): Promise<X509Certificate | null> {
    const known = this.#certificates.get(url.href);
    if (known) return known;
    const certificate = certificateIn(await this.ask(url));
    if (certificate === null) return null;
    if (this.#certificates.size >= MAX_CERTIFICATES) this.#certificates.clear();
    this.#certificates.set(url.href, certificate);
    return certificate;
  }

  private async ask(url: URL): Promise<string | null> {
    try {
      return await this.#fetch(url);
    } catch {
      throw new DomainError('HOOK_UNREACHABLE', `${url.host} cannot be asked just now`);
    }
  }
}

function certificateIn(text: string | null): X509Certificate | null {
  try {
    return text === null ? null : new X509Certificate(text);
  } catch {
    return null;
  }
}

/** No redirects: the host was checked, where it points was not. */
async function fetchText(url: URL): Promise<string | null> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (response.status >= 400 && response.status < 500 && response.status !== 429) return null;
  if (!response.ok) throw new Error(`${url.host} answered ${response.status}`);
  return (await response.text()).slice(0, MAX_CHARS);
}
