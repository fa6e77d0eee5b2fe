import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { isDeletedMeanwhile, isRefusedData } from '../delivery/ledger/refused-data.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { readUnsubscribeAddress, readVerp } from '../delivery/mails/verp.js';
import { readLeaveToken } from '../subscribers/leave-token.js';
import { LeaveService, type Leaving } from '../subscribers/leave.service.js';
import { domainOf, localPartOf } from '../values/email-address.js';
import { BringerProof, type Brought } from './bringer-proof.service.js';
import { BouncesService, type BounceSource, type IncomingReport, type Taken } from './bounces.service.js';
import { judgeReports } from './judge-mail.js';
import type { BounceVerdict, JudgedMail } from './judged-mail.js';
import { ReporterProof } from './reporter-proof.service.js';

export interface IncomingMail {
  raw: Uint8Array;
  /** Recipients by the envelope; empty where it is not known. */
  envelopeTo: readonly string[];
  source: Extract<BounceSource, 'smtp' | 'imap'>;
  /** Who brought it to the listener. */
  client?: string | undefined;
  /** MAIL FROM, empty for `<>`. */
  sender?: string | undefined;
  /** When it came, where it has waited since in a mailbox. */
  arrivedAt?: Date | undefined;
  /** Hears by which links nobody can be taken off. */
  lost?: (links: readonly string[]) => unknown;
}

/** Of each mail: a report says what it has to say in its first pages; what follows is our own mail. */
export const FIRST_BYTES = 512 * 1024;
/**
 * Of a signed report of a complaint, which is checked as a whole; of a larger one nobody knows who wrote it, and it does
 * what the unsubscribe link would.
 */
export const WHOLE_REPORT_BYTES = 4 * 1024 * 1024;

/** Who stands behind a mail. */
interface Origin {
  brought: Brought;
  /** Who has signed it, where feedback reports come from there. */
  reporter: string | null;
}

export const UNSTORABLE_ALERT = 'bounces:unstorable';

const SECOND_MS = 1_000;

/** `fbl` is where providers are usually told to send their feedback reports. */
const EVERY_DOMAIN_HAS: ReadonlySet<string> = new Set(['postmaster', 'abuse', 'fbl']);

/** A mail to the bounce domain, by whichever door it came in. */
@Injectable()
export class BounceIntake {
  readonly #logger = new Logger(BounceIntake.name);

  constructor(
    private readonly bounces: BouncesService,
    private readonly leave: LeaveService,
    private readonly proof: ReporterProof,
    private readonly bringer: BringerProof,
    private readonly alerts: AlertsService,
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

  /** How much of a mail is to be kept, by its first pages. */
  bytesToKeep(head: Uint8Array): number {
    return this.proof.reporterIn(head) === null ? FIRST_BYTES : WHOLE_REPORT_BYTES;
  }

  private isUnsubscribeAddress(local: string): boolean {
    const token = readUnsubscribeAddress(local);
    return token !== null && readLeaveToken(this.config.secretKey, 'unsubscribe', token) !== null;
  }

  /**
   * In force when it returns. The From of an unsubscribe mail is anybody's word and is not looked at. `lost`: somebody wants to be
   * taken off, and by their mail nobody knows who, as after a restored backup: they, or the owner, must be told.
   */
  async receive(mail: IncomingMail): Promise<Taken | 'unsubscribed' | 'lost'> {
    const { raw, envelopeTo, source, arrivedAt } = mail;
    const reports = await judgeReports(raw);
    const known = envelopeTo.length > 0 ? envelopeTo : reports.flatMap(({ addressedTo }) => addressedTo);
    const tokens = known
      .filter((address) => this.accepts(address))
      .flatMap((address) => readUnsubscribeAddress(localPartOf(address)) ?? []);
    const kinds = new Set<Leaving['kind']>();
    for (const token of new Set(tokens)) kinds.add((await this.leaveBy(token, arrivedAt)).kind);
    if (kinds.has('left')) return 'unsubscribed';
    if (kinds.has('lost')) mail.lost?.(tokens);
    if (tokens.length > 0) return kinds.has('lost') ? 'lost' : 'nothing';
    const mayBeSigned = reports.some((one) => says(one, 'complaint', 'sender'));
    const reporter = mayBeSigned ? await this.proof.provenReporter(raw) : null;
    const read = source === 'imap';
    const brought = { raw, client: read ? null : (mail.client ?? ''), sender: mail.sender ?? null };
    return this.takeAll(reports, { source, envelopeTo, arrivedAt }, { brought, reporter });
  }

  /** Those of the links by which somebody can be taken off now. */
  async knownLinks(tokens: readonly string[]): Promise<Set<string>> {
    return tokens.length === 0 ? new Set() : this.leave.known(tokens);
  }

  /**
   * Where it cannot be put away a mail lies in the mailbox still, and is read once more after each restart: whoever has said
   * yes since it came stays. A mailbox knows of its seconds alone.
   */
  private async leaveBy(token: string, arrivedAt: Date | undefined): Promise<Leaving> {
    if (arrivedAt === undefined) return this.leave.leaveByToken(token, 'mailto');
    return this.leave.leaveByTokenOf(new Date(arrivedAt.getTime() + SECOND_MS), token, 'mailto');
  }

  /** Only what would end a reader or stop a broadcast at once is worth the questions. */
  private async proofOf(
    report: IncomingReport,
    { brought, reporter }: Origin,
  ): Promise<Pick<IncomingReport, 'vouched' | 'signed'>> {
    const bySignature = reporter !== null && says(report.judged, 'complaint', 'sender');
    const byPath = says(report.judged, 'hard', 'sender');
    const address = bySignature || byPath ? await this.bounces.addressee(report) : null;
    if (address === null) return {};
    return {
      signed: bySignature && (await this.proof.speaksFor(reporter, address)),
      vouched: byPath && (await this.bringer.vouchesFor(address, brought)),
    };
  }

  /** The envelope names one mail of ours, and of several reports nobody knows which one is about that. */
  private async takeAll(
    reports: readonly JudgedMail[],
    { envelopeTo, ...from }: Omit<IncomingReport, 'judged'>,
    origin: Origin,
  ): Promise<Taken> {
    const taken: Taken[] = [];
    for (const judged of reports) {
      const report = { ...from, judged, envelopeTo: reports.length === 1 ? envelopeTo : [] };
      taken.push(await this.takeOrPutAside(report, origin));
    }
    return taken.find((one) => one !== 'nothing') ?? 'nothing';
  }

  /**
   * What the database refuses as data it refuses each time: brought again for ever, it would hold up the reports behind it.
   * What was deleted while the report was read is not there at the second look.
   */
  private async takeOrPutAside(report: IncomingReport, origin: Origin): Promise<Taken> {
    const take = async (): Promise<Taken> =>
      this.bounces.take({ ...report, ...(await this.proofOf(report, origin)) });
    try {
      return await take().catch(async (error: unknown) => {
        if (isDeletedMeanwhile(error)) return take();
        throw error;
      });
    } catch (error) {
      if (!isRefusedData(error)) throw error;
      await this.putAside(report, error);
      return 'nothing';
    }
  }

  /** By SMTP nothing is left of it but this: the owner hears of it, and finds it with the mail that it is about. */
  private async putAside(report: IncomingReport, why: unknown): Promise<void> {
    this.#logger.error(
      'a mail to the bounce domain holds what cannot be stored, and was put aside unread',
      why instanceof Error ? why.stack : '',
    );
    await this.alerts.raise({
      key: UNSTORABLE_ALERT,
      severity: 'warning',
      message:
        'A mail to the bounce domain holds what cannot be stored, and was not counted: the log says why',
    });
    await this.bounces.noteUnread(report).catch((error: unknown) => {
      if (!isRefusedData(error)) throw error;
    });
  }
}

function says({ findings }: JudgedMail, ...some: BounceVerdict[]): boolean {
  return findings.some(({ verdict }) => some.includes(verdict));
}
