import { Inject, Injectable } from '@nestjs/common';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { headersReplacedBy } from '../../config/mail-providers.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { publicHalf } from './dkim-keys.js';
import { DkimKeys } from './dkim-keys.service.js';
import { SignedDomains } from './signed-domains.service.js';
import { dkimRecord, dkimRecordName, dkimSignature, type DkimKey } from './dkim.js';

/**
 * A key is configured and the mail could not be signed, or its signature does not verify. The mail must not leave as it
 * is and nothing is wrong with it: it waits until the owner has put the key right.
 */
export class SigningRefused extends Error {
  override readonly name = 'SigningRefused';
}

/** Signs what leaves. With a key for the domain there is no way around it: a mail is signed or it waits. */
@Injectable()
export class DkimService {
  readonly #proven = new Set<string>();
  /** Any of the relays may get the mail. */
  readonly #replaced: ReadonlySet<string>;

  constructor(
    private readonly keys: DkimKeys,
    private readonly domains: SignedDomains,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#replaced = headersReplacedBy(config.relays.map(({ provider }) => provider));
  }

  /**
   * The DKIM-Signature header lines, each with its CRLF, to stand before `headers`; see `dkimSignature` for what the
   * two parts must be. Null only when neither the sender's domain nor one above it has a key, here or elsewhere.
   *
   * The first signature of each key in this process is checked with a verifier that is not ours, against the public
   * half that `dkim create` printed. Throws {@link SigningRefused}, and raises the alert `dkim:<domain>`, until one passes.
   */
  async sign(senderDomain: string, headers: string, body: Buffer): Promise<string | null> {
    const keys = this.keys.signing(senderDomain);
    if (keys.length === 0) {
      await this.refuseUnsigned(senderDomain);
      return null;
    }
    const result = await this.attempt(keys, headers, body);
    if (result.signatures !== null) return result.signatures;
    const domain = keys[0]?.domain ?? senderDomain;
    await this.alerts.raise({
      key: `dkim:${domain}`,
      severity: 'critical',
      message: `Mail from ${domain} waits: its DKIM signature fails its own check (${result.reason})`,
      facts: { domain, selectors: keys.map(({ selector }) => selector) },
    });
    throw new SigningRefused(`DKIM for ${domain}: ${result.reason}`);
  }

  /** Throws {@link SigningRefused} when mail of the domain is signed, and this worker has no key to do it with. */
  private async refuseUnsigned(senderDomain: string): Promise<void> {
    const domain = await this.domains.signedAbove(senderDomain);
    if (domain === null) return;
    await this.domains.reportMissingKey(domain);
    throw new SigningRefused(`DKIM for ${domain}: this worker has no key`);
  }

  private async attempt(
    keys: readonly DkimKey[],
    headers: string,
    body: Buffer,
  ): Promise<{ signatures: string } | { signatures: null; reason: string }> {
    let signatures: string;
    try {
      const now = this.clock.now();
      const each = await Promise.all(
        keys.map(async (key) => dkimSignature(key, headers, body, now, this.#replaced)),
      );
      signatures = each.join('');
    } catch (error) {
      return { signatures: null, reason: error instanceof Error ? error.message : String(error) };
    }
    const unproven = keys.filter((key) => !this.#proven.has(dkimRecordName(key)));
    if (unproven.length === 0) return { signatures };
    const head = Buffer.from(`${signatures}${headers.trimEnd()}\r\n\r\n`);
    const reason = await failedCheck(keys, Buffer.concat([head, body]));
    if (reason !== null) return { signatures: null, reason };
    for (const key of unproven) this.#proven.add(dkimRecordName(key));
    await this.domains.noteSigned(unproven.map(({ domain }) => domain));
    await this.alerts.resolve(`dkim:${unproven[0]?.domain}`);
    return { signatures };
  }
}

/** Why not every key's signature on this mail passes; null when all do. Asks no DNS. */
async function failedCheck(keys: readonly DkimKey[], mail: Buffer): Promise<string | null> {
  const records = new Map(keys.map((key) => [dkimRecordName(key), dkimRecord(publicHalf(key))]));
  // Loaded by those who sign alone: it costs every other start a tenth of its time.
  const { dkimVerify } = await import('mailauth/lib/dkim/verify.js');
  const { results } = await dkimVerify(mail, {
    resolver: async (name: string) => [[records.get(name) ?? '']],
  });
  const failed = results.find(({ status }) => status.result !== 'pass');
  if (failed) return `${failed.status.result} ${failed.status.comment || ''}`.trim();
  return results.length === keys.length ? null : 'a signature is missing';
}
