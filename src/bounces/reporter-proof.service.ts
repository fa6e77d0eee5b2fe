import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { DNS, type DnsResolver } from '../infra/dns.js';
import { domainOf } from '../values/email-address.js';
import { addressesIn } from './addresses.js';
import { isReporter, mayReportFor, sameOrganisation } from './complaint-reporter.js';
import { parseHeaderBlock } from './header-block.js';

/** A mail has one or two; each costs a question to the DNS. */
const MAX_SIGNATURES = 5;
const HEAD_BYTES = 64 * 1024;
/** Far beyond what mail programs write; the work of the check grows with them. */
const MAX_LINES = 100_000;
const MAX_LINE_BYTES = 10_000;
const LF = 10;

/** Who wrote a mail, as far as the domain they write from vouches for it (DKIM, RFC 6376). */
@Injectable()
export class ReporterProof {
  constructor(
    @Inject(DNS) private readonly dns: DnsResolver,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * The address in From, when feedback reports come from it and its domain has signed the whole mail; else null. Asks the
   * DNS of such mails alone. When the DNS does not answer nobody is proven: the report then does no more than anybody's.
   */
  async provenReporter(raw: Uint8Array): Promise<string | null> {
    const address = this.reporterIn(raw);
    if (address === null || !isOrdinary(raw)) return null;
    // What cannot be checked is not proven, and the mail is to be taken all the same.
    const isSigned = await this.isSignedBy(raw, domainOf(address)).catch(() => false);
    return isSigned ? address : null;
  }

  /** Who says in `head`, the first pages of a mail, to have signed it all as a reporter; only such a mail is checked. */
  reporterIn(head: Uint8Array): string | null {
    const address = signerIn(head);
    return address !== null && isReporter(address, this.config.complaintReporters) ? address : null;
  }

  /** Whether the word of a proven reporter counts for the person at `address`. Asks the DNS for whose mailboxes these are. */
  async speaksFor(reporter: string, address: string): Promise<boolean> {
    const more = this.config.complaintReporters;
    if (mayReportFor(reporter, { address, mx: [], more })) return true;
    const hosts = await this.dns.resolveMx(domainOf(address)).catch(() => []);
    return mayReportFor(reporter, { address, mx: hosts.map(({ exchange }) => exchange), more });
  }

  private async isSignedBy(raw: Uint8Array, domain: string): Promise<boolean> {
    // Loaded when the first such mail comes: most processes never see one.
    const { dkimVerify } = await import('mailauth/lib/dkim/verify.js');
    const { results } = await dkimVerify(Buffer.from(raw), {
      curTime: this.clock.now(),
      resolver: async (name: string) => this.dns.resolveTxt(name),
    });
    return results.some(
      ({ status, signingDomain }) => status.result === 'pass' && sameOrganisation(signingDomain, domain),
    );
  }
}

/** The one who wrote a mail, as it says, when it has signatures over all of it. */
function signerIn(head: Uint8Array): string | null {
  const headers = parseHeaderBlock(new TextDecoder().decode(head.subarray(0, HEAD_BYTES)));
  const from = headers.get('from') ?? [];
  const [address, other] = from.flatMap(addressesIn);
  if (from.length !== 1 || address === undefined || other !== undefined) return null;
  const signatures = headers.get('dkim-signature') ?? [];
  if (signatures.length === 0 || signatures.length > MAX_SIGNATURES) return null;
  // Behind a signature of the first part alone anybody may add a report of their own.
  return signatures.some((one) => /(?:^|;)\s{0,9}l\s{0,9}=/.test(one)) ? null : address;
}

function isOrdinary(raw: Uint8Array): boolean {
  let lines = 0;
  for (let at = 0; at < raw.length; lines++) {
    const end = raw.indexOf(LF, at);
    const next = end === -1 ? raw.length : end + 1;
    if (next - at > MAX_LINE_BYTES || lines > MAX_LINES) return false;
    at = next;
  }
  return true;
}
