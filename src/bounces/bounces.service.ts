import type { MailProvider } from '../values/mail-providers.js';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import {
  hasSurelyArrived,
  knownArrivals,
  messageByHeader,
  messageByReply,
  reportedMessage,
  type Refusal,
  type ReportedMessage,
} from '../delivery/ledger/message-evidence.queries.js';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { classifyReply, replyClass } from '../delivery/replies/reply-class.js';
import { isReplyReason } from '../delivery/replies/reply-reason.js';
import { refusedFor } from '../delivery/replies/sender-refusal.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { sameAddress } from './addresses.js';
import { doubtedKey, trustedKey, untrustedKey, withoutAddresses } from './bounce-key.js';
import { BouncesQueries, type BounceFilter, type BounceRow, type NewBounce } from './bounces.queries.js';
import type { Finding, JudgedMail } from './judged-mail.js';
import { OutcomesService } from './outcomes.service.js';
import {
  messageByReturnPath,
  messageByUnsubscribeLink,
  messageIdHeaders,
  type ReportClues,
} from './report-identity.js';
import { DAY_MS } from '../values/time-units.js';
import { ERASED } from '../subscribers/erased.js';

export type BounceSource = 'smtp' | 'imap' | MailProvider;

export interface IncomingReport {
  judged: JudgedMail;
  source: BounceSource;
  /** Where the mail went by its envelope; empty where there was none. */
  envelopeTo: readonly string[];
  /** It came by mail from where a true one about this mail would come from. */
  vouched?: boolean | undefined;
  /** By who may speak for the reader. */
  signed?: boolean | undefined;
  /** When a provider signed it, where one did: told again, on whatever day, it is the same report. */
  signedAt?: Date | undefined;
  /** When it came, where it is read later: a mailbox may not have been looked at for weeks. */
  arrivedAt?: Date | undefined;
}

/**
 * `untrusted`: kept: without a token of ours it has no effect at all, with no more than what whoever was shown the mail has,
 * the effect of its unsubscribe link, and about us only together with many others. `nothing`: no report at all.
 */
export type Taken = 'counted' | 'repeated' | 'untrusted' | 'nothing';

/**
 * What a report may do. `server`: it names the mail by what few but servers on its way see, or comes from a mailbox
 * provider. `shown`: it names it by what whoever was shown the mail, or an answer to it, has as well: the unsubscribe
 * link, or the Message-ID, which every answer quotes. A complaint by mail is no more than that unless its reporter is
 * proven: who was passed our mail as a file has its return path, too, and real reporters sign.
 */
type ReportProof = 'server' | 'shown';

/** Anybody can send reports that name no mail: they may not fill the disk. */
const UNTRUSTED_A_DAY = 1_000;
const MAX_MTA_CHARS = 255;
/** Servers try for five days as a rule (RFC 5321 §4.5.4.1). */
const QUEUES_LAST_MS = 7 * DAY_MS;
/** A letter of every quarter has its second report well within it, one of every year just so. */
const DOUBTS_LAST_MS = 400 * DAY_MS;

/** The only writer of `bounce`. Every report is written down and takes effect in one transaction, once. */
@Injectable()
export class BouncesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly bounces: BouncesQueries,
    private readonly outcomes: OutcomesService,
    private readonly messages: MessagesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Whom the mail went to that the report is about; null when it names none of ours. */
  async addressee(report: IncomingReport): Promise<string | null> {
    const { manager } = this.dataSource;
    const { id } = await this.named(manager, cluesOf(report));
    return id === null ? null : ((await reportedMessage(manager, id))?.address ?? null);
  }

  /** `before` runs first in the same transaction: when either throws, nothing of both has happened. */
  async take(report: IncomingReport, before?: (manager: EntityManager) => Promise<void>): Promise<Taken> {
    return this.dataSource.transaction(async (manager) => {
      await before?.(manager);
      const { id, byPath, byHeader } = await this.named(manager, cluesOf(report));
      const message = id === null ? null : await reportedMessage(manager, id);
      if (message === null) return this.takeUntrusted(manager, report);
      const ofServer = byPath ?? (this.headersProve(report) ? byHeader : null);
      const signed = await this.isSignedAbout(manager, message, report);
      const proven = this.isComplaintByMail(message, report) ? signed : ofServer !== null;
      const vouched = report.vouched === true || signed;
      return this.takeTrusted(manager, message, { ...report, vouched }, proven ? 'server' : 'shown');
    });
  }

  /**
   * What a provider tells in one call, which may be thousands of mails. Most are those that arrived, as the relay had said
   * before: they change nothing, and are found out together rather than one by one.
   */
  async takeAll(
    reports: readonly JudgedMail[],
    from: Omit<IncomingReport, 'judged' | 'envelopeTo'>,
  ): Promise<Taken[]> {
    const taken: Taken[] = [];
    for (const judged of await this.withoutKnownArrivals(reports))
      taken.push(await this.take({ judged, envelopeTo: [], ...from }));
    return taken;
  }

  /** Reports of the provider, of the last day, that name no mail of ours. */
  async unnamed(source: MailProvider): Promise<number> {
    return this.bounces.countUnnamed(source, new Date(this.clock.now().getTime() - DAY_MS));
  }

  private async withoutKnownArrivals(reports: readonly JudgedMail[]): Promise<JudgedMail[]> {
    const arrivals = reports.map((judged) =>
      judged.findings.every(({ reason }) => reason === 'delivered')
        ? {
            id: messageByReturnPath(this.config.secretKey, judged),
            headers: messageIdHeaders(judged.originals),
            reply: judged.takenAs?.reply,
          }
        : null,
    );
    const known = await knownArrivals(this.dataSource.manager, {
      ids: arrivals.flatMap((one) => one?.id ?? []),
      headers: arrivals.flatMap((one) => (one?.id === null ? one.headers : [])),
      replies: arrivals.flatMap((one) => (one?.id === null ? (one.reply ?? []) : [])),
    });
    return reports.filter((_, at) => {
      const { id, headers, reply = '' } = arrivals[at] ?? { id: null, headers: [] };
      return !(id === null ? [...headers, reply].some((name) => known.has(name)) : known.has(id));
    });
  }

  /** A refusal the relay gave while it was talked to: judged by the same table, counted in the same way. */
  async takeRefusal(refusal: Refusal): Promise<Taken> {
    const { replyCode, replyText, reason } = refusal;
    const known = refusedFor(reason) ?? (isReplyReason(reason) ? reason : null);
    const found: Finding = {
      ...(known !== null ? replyClass(known) : classifyReply({ replyCode, text: replyText })),
      recipient: null,
      status: null,
      replyCode,
      diagnostic: replyText.slice(0, 500),
    };
    return this.dataSource.transaction(async (manager) => {
      await holdBroadcast(manager, refusal);
      const row = {
        ...this.row(found, 'smtp_reply', null),
        ...ofMessage(refusal),
        dedupeKey: refusal.dedupeKey,
        trusted: true,
      };
      if ((await this.bounces.insert(manager, row)) === null) return 'repeated';
      await this.outcomes.apply(manager, refusal, found);
      return 'counted';
    });
  }

  async list(filter: BounceFilter): Promise<BounceRow[]> {
    return this.bounces.list(filter);
  }

  /** That a report cannot be stored. Nothing where it names no mail of ours. */
  async noteUnread(report: IncomingReport): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const { id } = await this.named(manager, cluesOf(report));
      const message = id === null ? null : await reportedMessage(manager, id);
      if (message !== null) await this.keepUnread(manager, message, report);
    });
  }

  /** The mail that a report is about, by all it says. */
  private async named(
    manager: EntityManager,
    clues: ReportClues,
  ): Promise<Record<'id' | 'byPath' | 'byHeader', string | null>> {
    const { secretKey } = this.config;
    const byPath = messageByReturnPath(secretKey, clues);
    const byHeader =
      byPath ??
      (await messageByHeader(manager, messageIdHeaders(clues.originals))) ??
      (clues.takenAs ? await messageByReply(manager, clues.takenAs.reply) : null);
    return { id: byHeader ?? messageByUnsubscribeLink(secretKey, clues), byPath, byHeader };
  }

  /** Where mails have a return path of their own, a report by mail that does not know it knows too little. */
  private headersProve({ source }: IncomingReport): boolean {
    return this.config.bounceDomain === null || !isByMail(source);
  }

  private isComplaintByMail(message: ReportedMessage, { judged, source }: IncomingReport): boolean {
    return isByMail(source) && findingFor(message, judged.findings).verdict === 'complaint';
  }

  /** By what the reporter has signed, which the envelope is not: an old report could be sent on to another return path. */
  private async isSignedAbout(
    manager: EntityManager,
    { id }: ReportedMessage,
    { judged, signed = false }: IncomingReport,
  ): Promise<boolean> {
    if (!signed) return false;
    const named = await this.named(manager, { addressedTo: [], originals: judged.originals });
    return named.id === id;
  }

  /**
   * Bounces are seldom signed, so anybody may have written one who was passed the mail as a file. A dead address reads
   * nothing, and its server says so within the days that queues last: what contradicts that is counted, as any mail that
   * did not arrive, and ends nothing by itself. So is what did not come from where a true one would: a dead address
   * loses the next mail as well, and whoever was passed one mail has the return path of no other.
   */
  private async weighed(
    manager: EntityManager,
    message: ReportedMessage,
    { source, vouched = false, arrivedAt = this.clock.now() }: IncomingReport,
    found: Finding,
  ): Promise<Finding> {
    if (found.verdict !== 'hard' || !isByMail(source)) return found;
    const doubted: Finding = { ...found, verdict: 'soft' };
    const before = new Date(arrivedAt.getTime() - QUEUES_LAST_MS);
    if (await hasSurelyArrived(manager, message.id, before)) return doubted;
    if (vouched) return found;
    const now = this.clock.now();
    const since = new Date(now.getTime() - DOUBTS_LAST_MS);
    return (await this.bounces.wasDoubted(manager, { ...message, since, now })) ? found : doubted;
  }

  private async takeTrusted(
    manager: EntityManager,
    message: ReportedMessage,
    report: IncomingReport,
    proof: ReportProof,
  ): Promise<Taken> {
    const { judged, source } = report;
    await holdBroadcast(manager, message);
    const isOfServer = proof === 'server';
    const said = findingFor(message, judged.findings);
    const found = isOfServer ? await this.weighed(manager, message, report, said) : said;
    if (found.reason === 'not_a_report') return this.keepUnread(manager, message, report);
    await this.messages.noteArrival(
      manager,
      message.id,
      found.verdict === 'complaint' ? 'a complaint' : 'a report',
    );
    // Somebody is away, or has the mail: that proves that it arrived, and nothing has come back.
    if (found.reason === 'auto_reply' || found.reason === 'delivered') return 'nothing';
    const trusted = isOfServer && !isDoubted(found, report);
    const row = { ...this.row(found, source, judged.reportingMta), ...ofMessage(message), trusted };
    const day = report.signedAt ?? dayOf(report, row);
    const dedupeKey = trusted
      ? trustedKey(message.id, judged.reportingMta, found, day)
      : doubtedKey(message.id, found, day);
    if ((await this.bounces.insert(manager, { ...row, dedupeKey })) === null) return 'repeated';
    if (trusted) await this.outcomes.apply(manager, message, found);
    else await this.outcomes.leave(manager, message, found);
    return trusted ? 'counted' : 'untrusted';
  }

  /** Something came to a return path of ours and no rule knows what: once a day, for a person to look at. No effect. */
  private async keepUnread(
    manager: EntityManager,
    message: ReportedMessage,
    report: IncomingReport,
  ): Promise<Taken> {
    const row = { ...this.row(UNREAD, report.source, null), ...ofMessage(message), trusted: true };
    const dedupeKey = trustedKey(message.id, null, UNREAD, dayOf(report, row));
    await this.bounces.insert(manager, { ...row, dedupeKey });
    return 'nothing';
  }

  private async takeUntrusted(manager: EntityManager, report: IncomingReport): Promise<Taken> {
    const { judged, source } = report;
    const reports = judged.findings
      .filter(({ verdict, isGuess }) => verdict !== 'ignore' && !isGuess)
      .slice(0, 1);
    if (reports.length === 0) return 'nothing';
    if (await this.isFlooded(manager)) return 'untrusted';
    for (const found of reports) {
      const row = { ...this.row(found, source, judged.reportingMta), ...NO_MESSAGE, trusted: false };
      const dedupeKey = untrustedKey(judged.reportingMta, found, dayOf(report, row));
      await this.bounces.insert(manager, { ...row, dedupeKey });
    }
    return 'untrusted';
  }

  private async isFlooded(manager: EntityManager): Promise<boolean> {
    const since = new Date(this.clock.now().getTime() - DAY_MS);
    return (await this.bounces.countUntrusted(manager, since)) >= UNTRUSTED_A_DAY;
  }

  private row(
    found: Finding,
    source: string,
    reportingMta: string | null,
  ): Omit<NewBounce, 'dedupeKey' | 'trusted' | keyof typeof NO_MESSAGE> {
    const { verdict, reason, status, replyCode, diagnostic } = found;
    return {
      verdict,
      reason,
      status,
      replyCode,
      diagnostic: withoutAddresses(diagnostic),
      reportingMta: reportingMta?.replaceAll('\0', '').slice(0, MAX_MTA_CHARS) ?? null,
      source,
      receivedAt: this.clock.now(),
    };
  }
}

/**
 * Whoever works on a broadcast's mails holds the broadcast first, then the mails. A report does so as well: it changes the
 * mail, and then names the broadcast or pauses it, and each would wait for the other. Reports do not wait for each other.
 */
async function holdBroadcast(
  manager: EntityManager,
  { broadcastId }: Pick<ReportedMessage, 'broadcastId'>,
): Promise<void> {
  if (broadcastId === null) return;
  await manager.query('select 1 from broadcast where id = $1 for key share', [broadcastId]);
}

function cluesOf({ judged: { addressedTo, originals, takenAs }, envelopeTo }: IncomingReport): ReportClues {
  return { addressedTo: [...envelopeTo, ...addressedTo], originals, takenAs };
}

/** What a mail without any finding comes to. */
const UNREAD: Finding = {
  ...replyClass('not_a_report'),
  recipient: null,
  status: null,
  replyCode: null,
  diagnostic: '',
};

/** One that lies in a mailbox still may be read once more on another day, and is the same report. */
function dayOf({ arrivedAt }: IncomingReport, { receivedAt }: Pick<NewBounce, 'receivedAt'>): Date {
  return arrivedAt ?? receivedAt;
}

/** About us, by mail, and not from where a true one would come: each reader has a return path, and it would stop a broadcast. */
function isDoubted({ verdict }: Finding, { source, vouched = false }: IncomingReport): boolean {
  return verdict === 'sender' && isByMail(source) && !vouched;
}

function isByMail(source: BounceSource): boolean {
  return source === 'smtp' || source === 'imap';
}

const NO_MESSAGE = {
  messageId: null,
  subscriberId: null,
  addressHash: null,
  broadcastId: null,
  providerGroup: null,
};

/** Of somebody who was erased no words of a foreign server are kept: they mostly hold the address, and often the name. */
function ofMessage(
  message: ReportedMessage,
): Pick<NewBounce, keyof typeof NO_MESSAGE> & Partial<Pick<NewBounce, 'diagnostic'>> {
  const { id, subscriberId, address, addressHash, broadcastId, queueKey } = message;
  return {
    ...(address === ERASED ? { diagnostic: null } : {}),
    messageId: id,
    subscriberId,
    addressHash,
    broadcastId,
    providerGroup: queueKey.split('|')[1] ?? null,
  };
}

/**
 * Each of our mails has one recipient, so a report about it is about that one, under whatever name it was forwarded to.
 * Where it names several, ours is the one with our address, else the first that is more than a guess. Of an alias that
 * stands for several people some may be gone: it counts, and does not end it.
 */
function findingFor(message: ReportedMessage, findings: readonly Finding[]): Finding {
  const own = findings.find(({ recipient }) => recipient !== null && sameAddress(recipient, message.address));
  if (own) return own;
  const sure = findings.filter(({ isGuess }) => !isGuess);
  const [found = UNREAD] = sure;
  const people = new Set(sure.map(({ recipient }) => recipient?.toLowerCase()));
  return found.verdict === 'hard' && people.size > 1 ? { ...found, verdict: 'soft' } : found;
}
