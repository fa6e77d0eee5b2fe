import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { readUnsubscribeAddress, readVerp } from '../delivery/mails/verp.js';
import { readLeaveToken } from '../subscribers/leave-token.js';
import { LeaveService } from '../subscribers/leave.service.js';
import { domainOf, localPartOf } from '../values/email-address.js';
import { BouncesService, type BounceSource, type IncomingReport, type Taken } from './bounces.service.js';
import { judgeReports } from './judge-mail.js';
import type { JudgedMail } from './judged-mail.js';
import { ReporterProof } from './reporter-proof.service.js';

export interface IncomingMail {
  raw: Uint8Array;
  /** Recipients by the envelope; empty where it is not known. */
  envelopeTo: readonly string[];
  source: Extract<BounceSource, 'smtp' | 'imap'>;
  /** When it came, where it has waited since in a mailbox. */
  arrivedAt?: Date | undefined;
}

/** `fbl` is where providers are usually told to send their feedback reports. */
const EVERY_DOMAIN_HAS: ReadonlySet<string> = new Set(['postmaster', 'abuse', 'fbl']);

/** A mail to the bounce domain, by whichever door it came in. */
@Injectable()
export class IntakeService {
  constructor(
    private readonly bounces: BouncesService,
    private readonly leave: LeaveService,
    private readonly proof: ReporterProof,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Whether the address is one of ours: a return path or an unsubscribe address with its token, where complaints are
   * asked for (RFC 9477), or one that every mail domain has (RFC 2142). A report to one without a token is believed as
   * far as the mail in it bears one.
   */
  accepts(address: string): boolean {
    const domain = domainOf(address);
    if (this.config.bounceDomain === null) return false;
    // The one address that needs no domain (RFC 5321 §4.5.1).
    if (domain === 'postmaster') return true;
    if (domain !== this.config.bounceDomain) return false;
    const local = localPartOf(address);
    return (
      EVERY_DOMAIN_HAS.has(local.toLowerCase()) ||
      address.toLowerCase() === this.config.cfblAddress?.toLowerCase() ||
      readVerp(this.config.secretKey, local) !== null ||
      this.isUnsubscribeAddress(local)
    );
  }

  private isUnsubscribeAddress(local: string): boolean {
    const token = readUnsubscribeAddress(local);
    return token !== null && readLeaveToken(this.config.secretKey, 'unsubscribe', token) !== null;
  }

  /** In force when it returns. The From of an unsubscribe mail is anybody's word and is not looked at. */
  async receive({ raw, envelopeTo, source, arrivedAt }: IncomingMail): Promise<Taken | 'unsubscribed'> {
    const reports = await judgeReports(raw);
    const known = envelopeTo.length > 0 ? envelopeTo : reports.flatMap(({ addressedTo }) => addressedTo);
    const tokens = known
      .filter((address) => this.accepts(address))
      .flatMap((address) => readUnsubscribeAddress(localPartOf(address)) ?? []);
    let left = false;
    for (const token of new Set(tokens)) {
      const leaving = await this.leave.leaveByToken(token, 'mailto');
      left ||= leaving.kind === 'left';
    }
    if (tokens.length > 0) return left ? 'unsubscribed' : 'nothing';
    const complained = reports.some(({ verdict }) => verdict === 'complaint');
    const reporter = complained ? await this.proof.provenReporter(raw) : null;
    return this.takeAll(reports, { source, envelopeTo, reporter, arrivedAt });
  }

  /** The envelope names one mail of ours, and of several reports nobody knows which one is about that. */
  private async takeAll(
    reports: readonly JudgedMail[],
    { envelopeTo, ...from }: Omit<IncomingReport, 'judged'>,
  ): Promise<Taken> {
    const taken: Taken[] = [];
    for (const judged of reports)
      taken.push(
        await this.bounces.take({
          ...{ ...from, judged },
          envelopeTo: reports.length === 1 ? envelopeTo : [],
        }),
      );
    return taken.find((one) => one !== 'nothing') ?? 'nothing';
  }
}
