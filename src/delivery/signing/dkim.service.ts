import { Inject, Injectable, Logger } from '@nestjs/common';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { headersReplacedBy } from '../../values/mail-providers.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { publicHalf } from './dkim-keys.js';
import { DkimKeys, EVERY_DOMAIN, type KeyFault } from './dkim-keys.service.js';
import { DKIM_ALERT } from '../message/message.js';
import { WAITS_FOR_KEY } from '../message/state-reasons.js';
import { SignedDomains } from './signed-domains.service.js';
import { dkimRecord, dkimRecordName, dkimSignature, type DkimKey } from './dkim.js';
import { sampleMail } from './sample-mail.transport.js';

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
  readonly #logger = new Logger(DkimService.name);
  readonly #proven = new Set<string>();
  /** Any of the relays may get the mail. */
  readonly #replaced: ReadonlySet<string>;

  constructor(
    private readonly keys: DkimKeys,
    private readonly domains: SignedDomains,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#replaced = headersReplacedBy(config.relays.map(({ provider }) => provider));
  }

  /**
   * As a worker starts: a mail with all our headers is signed with each key and checked as a receiver would. Of a key that
   * fails, the log and the alert `dkim:<domain>` tell; its mail waits, and nothing else does.
   */
  async proveKeys(): Promise<void> {
    await this.domains.noteKeys();
    const failures = await this.failures();
    const failed = new Set(failures.map(({ domain }) => domain));
    for (const domain of [...this.keys.domains(), EVERY_DOMAIN])
      if (!failed.has(domain)) await this.alerts.resolve(alertOf(domain));
    await this.resolveForgotten(failed);
    for (const { domain, reason } of failures) {
      this.#logger.error(`mail from ${domain} is not sent: ${reason}`);
      await this.raise(domain, reason);
    }
  }

  /** For `doctor`: what there is, in words. Throws for a key that cannot sign, is missing here or may be read by others. */
  async checkKeys(): Promise<string> {
    const failures = await this.failures();
    if (failures.length === 0) return this.domains.checkKeys();
    throw new Error(failures.map(({ domain, reason }) => `mail from ${domain} waits: ${reason}`).join('; '));
  }

  /**
   * The DKIM-Signature header lines, each with its CRLF, to stand before `headers`; see `dkimSignature` for what the
   * two parts must be. Null only when neither the sender's domain nor one above it has a key, here or elsewhere.
   *
   * The signature of the first mail of each key in this process is checked once more, with a verifier that is not ours, against the public
   * half that `dkim create` printed. Throws {@link SigningRefused}, and raises the alert `dkim:<domain>`, until one passes.
   */
  async sign(senderDomain: string, headers: string, body: Buffer): Promise<string | null> {
    const fault = this.keys.fault(senderDomain);
    if (fault !== null) throw await this.refusal(fault.domain, fault.reason);
    const keys = this.keys.signing(senderDomain);
    if (keys.length === 0) {
      await this.refuseUnsigned(senderDomain);
      return null;
    }
    const result = await this.attempt(keys, headers, body);
    if (result.signatures !== null) return result.signatures;
    throw await this.refusal(keys[0]?.domain ?? senderDomain, failing(result.reason));
  }

  /** The keys that mail waits for, each tried for real. */
  private async failures(): Promise<KeyFault[]> {
    const failures = this.keys.faults();
    for (const domain of this.keys.domains()) {
      if (failures.some((fault) => fault.domain === domain)) continue;
      const { headers, body } = sampleMail(domain, this.config, this.clock.now());
      const keys = this.keys.signing(domain);
      const { reason } = await this.checked(keys, { headers, body, unproven: keys });
      if (reason !== null) failures.push({ domain, reason: failing(reason) });
    }
    return failures;
  }

  /**
   * A worker that still had a bad key may have raised its alert after the key was moved away and forgotten. Where nothing is
   * signed nothing waits.
   */
  private async resolveForgotten(failed: ReadonlySet<string>): Promise<void> {
    for (const { key } of await this.alerts.open()) {
      const domain = domainOfAlert(key);
      if (domain === null || failed.has(domain) || (await this.domains.signedAbove(domain)) !== null)
        continue;
      await this.alerts.resolve(key);
    }
  }

  private async refusal(domain: string, reason: string): Promise<SigningRefused> {
    await this.raise(domain, reason);
    return new SigningRefused(`${WAITS_FOR_KEY}${domain}: ${reason}`);
  }

  private async raise(domain: string, reason: string): Promise<void> {
    await this.alerts.raise({
      key: alertOf(domain),
      severity: 'critical',
      message: `Mail from ${domain} waits: ${reason}`,
      facts: { domain, selectors: this.keys.signing(domain).map(({ selector }) => selector) },
    });
  }

  /** Throws {@link SigningRefused} when mail of the domain is signed, and this worker has no key to do it with. */
  private async refuseUnsigned(senderDomain: string): Promise<void> {
    const domain = await this.domains.signedAbove(senderDomain);
    if (domain === null) return;
    await this.domains.reportMissingKey(domain);
    throw new SigningRefused(`${WAITS_FOR_KEY}${domain}: this worker has no key`);
  }

  private async attempt(keys: readonly DkimKey[], headers: string, body: Buffer): Promise<Signed> {
    const unproven = keys.filter((key) => !this.#proven.has(dkimRecordName(key)));
    const result = await this.checked(keys, { headers, body, unproven });
    if (result.signatures === null || unproven.length === 0) return result;
    for (const key of unproven) this.#proven.add(dkimRecordName(key));
    await this.domains.noteSigned(unproven.map(({ domain }) => domain));
    await this.alerts.resolve(alertOf(unproven[0]?.domain ?? ''));
    return result;
  }

  /** Signed, and checked where a key is among the `unproven`. */
  private async checked(
    keys: readonly DkimKey[],
    { headers, body, unproven }: { headers: string; body: Buffer; unproven: readonly DkimKey[] },
  ): Promise<Signed> {
    let signatures: string;
    try {
      const now = this.clock.now();
      const each = await Promise.all(
        keys.map(async (key) => dkimSignature(key, { headers, body }, now, this.#replaced)),
      );
      signatures = each.join('');
    } catch (error) {
      return { signatures: null, reason: error instanceof Error ? error.message : String(error) };
    }
    if (unproven.length === 0) return { signatures, reason: null };
    const head = Buffer.from(`${signatures}${headers.trimEnd()}\r\n\r\n`);
    const reason = await failedCheck(keys, Buffer.concat([head, body]));
    return reason === null ? { signatures, reason } : { signatures: null, reason };
  }
}

type Signed = { signatures: string; reason: null } | { signatures: null; reason: string };

function alertOf(domain: string): string {
  return DKIM_ALERT + domain;
}

function domainOfAlert(key: string): string | null {
  return key.startsWith(DKIM_ALERT) ? key.slice(DKIM_ALERT.length) : null;
}

function failing(reason: string): string {
  return `its DKIM signature fails its own check (${reason})`;
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
