import { X509Certificate } from 'node:crypto';
import { Inject, Injectable, Optional } from '@nestjs/common';
import { amazonUrl, isSignedBy, type SnsMessage } from './providers/sns.js';

/** Injection token: how an address of Amazon's is fetched. Tests bring their own. */
const FETCH_AMAZON = Symbol('fetch from Amazon');
export type FetchAmazon = (url: URL) => Promise<string>;

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

  /** False for any message Amazon has not signed, and when the certificate has run out or cannot be had. */
  async isGenuine(message: SnsMessage, now: Date): Promise<boolean> {
    const url = amazonUrl(message.SigningCertURL);
    if (url === null || !/^\/[\w.-]{1,200}\.pem$/.test(url.pathname) || url.search !== '') return false;
    try {
      const certificate = await this.certificate(url);
      const inTime = new Date(certificate.validFrom) <= now && now <= new Date(certificate.validTo);
      return inTime && isSignedBy(certificate.publicKey, message);
    } catch {
      return false;
    }
  }

  /** Says yes to a subscription. The message must be genuine; its address must be Amazon's all the same. */
  async confirm({ SubscribeURL }: SnsMessage): Promise<boolean> {
    const url = amazonUrl(SubscribeURL ?? '');
    if (url === null || url.searchParams.get('Action') !== 'ConfirmSubscription') return false;
    await this.#fetch(url);
    return true;
  }

  private async certificate(url: URL): Promise<X509Certificate> {
    const known = this.#certificates.get(url.href);
    if (known) return known;
    const certificate = new X509Certificate(await this.#fetch(url));
    if (this.#certificates.size >= MAX_CERTIFICATES) this.#certificates.clear();
    this.#certificates.set(url.href, certificate);
    return certificate;
  }
}

/** No redirects: the host was checked, where it points was not. */
async function fetchText(url: URL): Promise<string> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${url.host} answered ${response.status}`);
  return (await response.text()).slice(0, MAX_CHARS);
}
