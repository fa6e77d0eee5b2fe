import type { MailProvider } from '../values/mail-providers.js';
import { Inject, Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import type { EntityManager } from 'typeorm';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { RateLimits } from '../infra/rate-limits/rate-limits.service.js';
import { DomainError } from '../values/domain-error.js';
import { BouncesService } from './bounces.service.js';
import type { JudgedMail } from './judged-mail.js';
import { isSignedByMailgun, mailgunBody, readMailgunEvent } from './providers/mailgun.js';
import { isFromPostmark, postmarkEventAt, readPostmarkEvent } from './providers/postmark.js';
import { isSignedBySendgrid, readSendgridEvents } from './providers/sendgrid.js';
import { readSesEvent } from './providers/ses.js';
import { snsMessage } from './providers/sns.js';
import { SnsVerifier } from './sns-verifier.service.js';
import { HOUR_MS } from '../values/time-units.js';

interface HookCall {
  raw: Buffer;
  body: unknown;
  header: (name: string) => string;
}

/** How far a provider's clock may be ahead of ours. */
const MAX_AHEAD_MS = 300_000;
/**
 * For how long a provider repeats a call that nobody answered (Amazon an hour, SendGrid a day, Mailgun eight hours), and
 * some: what happened while we were down is not lost, should the call keep its first time. An old copy of a call does
 * nothing that the first has not done: each event counts once, and the signature covers all of it.
 */
const MAX_AGE_MS = { ses: 65 * 60_000, sendgrid: 25 * HOUR_MS, mailgun: 9 * HOUR_MS } as const;
/** Mailgun signs no event, only a token, so each token is good for one call for as long as its time would be. */
const MAILGUN_TOKEN = { name: 'mailgun-token', points: 1, seconds: 10 * 3_600 };
/** Where our answer was lost, the same call comes once more: it is known, and a refusal would be tried for eight hours. */
const MAILGUN_CALL = { ...MAILGUN_TOKEN, name: 'mailgun-call' };

/** How long after a mail was taken it is known here, though a worker was slow to write it down. */
const REPLY_WRITTEN_MS = 60_000;

export const UNNAMED_ALERT = 'bounces:unnamed:';
const TAG_KEPT = 'look whether something on the way takes out the header that names the mail.';
const UNNAMED_REMEDY: Readonly<Record<MailProvider, string>> = {
  ses: 'in Amazon SES turn on "Include original headers" beside the feedback notifications of the identity, or have a configuration set publish its events to the topic.',
  sendgrid: TAG_KEPT,
  postmark: TAG_KEPT,
  mailgun: TAG_KEPT,
};

interface SignedReports {
  reports: JudgedMail[];
  signedAt?: Date | undefined;
}

/** Webhooks of mail providers. The answer is 2xx only when all of a call is counted; else the provider sends it again. */
@Injectable()
export class HooksService {
  constructor(
    private readonly bounces: BouncesService,
    private readonly sns: SnsVerifier,
    private readonly limits: RateLimits,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Throws `HOOK_NOT_FOUND` for a provider without a key in the settings, `HOOK_FORBIDDEN` for a call that is not
   * genuine or too old, `HOOK_INVALID` for one that is no event, `HOOK_UNREACHABLE` for one that nobody can judge yet.
   */
  async receive(provider: MailProvider, call: HookCall): Promise<void> {
    if (provider === 'mailgun') return this.receiveMailgun(call);
    const { reports, signedAt } = await this.read(provider, call);
    const taken = await this.bounces.takeAll(reports, { source: provider, signedAt });
    if (taken.includes('untrusted')) await this.tellUnnamed(provider);
  }

  /** What the provider tells of nobody's mail has no effect, and the reader is written to still. */
  private async tellUnnamed(provider: MailProvider): Promise<void> {
    await this.alerts.raise({
      key: UNNAMED_ALERT + provider,
      severity: 'warning',
      message: `Reports of ${provider} name no mail that was sent from here, and were not counted. That is as it should be if something else sends through the same account. If not: ${UNNAMED_REMEDY[provider]}`,
      facts: { provider, reportsOfLastDay: await this.bounces.unnamed(provider) },
    });
  }

  private async receiveMailgun({ body: given }: HookCall): Promise<void> {
    const secret = key(this.config.mailgunWebhookKey);
    const body = event(() => mailgunBody.parse(given));
    const { timestamp, token } = body.signature;
    if (!isSignedByMailgun(secret, body.signature)) throw unsigned();
    const signedAt = this.inTime(Number(timestamp) * 1000, MAX_AGE_MS.mailgun);
    const judged = readMailgunEvent(body);
    if (judged === null) return;
    const call = createHash('sha256')
      .update(JSON.stringify([token, body['event-data']]))
      .digest('base64url');
    let isKnown = false;
    const once = async (manager: EntityManager): Promise<void> => {
      // Spent with the event or not at all: Mailgun's next try with this token is to be heard.
      const unspent = (await this.limits.take(MAILGUN_TOKEN, token, 1, manager)).allowed;
      isKnown = !(await this.limits.take(MAILGUN_CALL, call, 1, manager)).allowed;
      if (!unspent) throw unsigned();
    };
    try {
      const taken = await this.bounces.take({ judged, source: 'mailgun', envelopeTo: [], signedAt }, once);
      if (taken === 'untrusted') await this.tellUnnamed('mailgun');
    } catch (error) {
      if (!isKnown) throw error;
    }
  }

  private async read(provider: Exclude<MailProvider, 'mailgun'>, call: HookCall): Promise<SignedReports> {
    switch (provider) {
      case 'ses':
        return this.readSes(key(this.config.sesTopicArn), call);
      case 'sendgrid': {
        const [timestamp, signature] = [
          call.header('x-twilio-email-event-webhook-timestamp'),
          call.header('x-twilio-email-event-webhook-signature'),
        ];
        const given = { timestamp, signature, raw: call.raw };
        if (!isSignedBySendgrid(key(this.config.sendgridWebhookKey), given)) throw unsigned();
        const signedAt = this.inTime(Number(timestamp) * 1000, MAX_AGE_MS.sendgrid);
        return { reports: event(() => readSendgridEvents(call.body)), signedAt };
      }
      case 'postmark':
        if (!isFromPostmark(key(this.config.postmarkWebhookSecret), call.header('authorization')))
          throw unsigned();
        return event(() => ({
          reports: [readPostmarkEvent(call.body)].filter((one) => one !== null),
          signedAt: postmarkEventAt(call.body),
        }));
      default:
        return provider satisfies never;
    }
  }

  /** Anybody may have a topic that Amazon signs for; only the owner's is listened to. */
  private async readSes(topicArn: string, { raw }: HookCall): Promise<SignedReports> {
    const message = event(() => snsMessage.parse(JSON.parse(raw.toString('utf8'))));
    if (message.TopicArn !== topicArn) throw unsigned();
    if (!(await this.sns.isGenuine(message, this.clock.now()))) throw unsigned();
    const signedAt = this.inTime(Date.parse(message.Timestamp), MAX_AGE_MS.ses);
    if (message.Type === 'SubscriptionConfirmation') {
      if (!(await this.sns.confirm(message))) throw unsigned();
      return { reports: [] };
    }
    const judged = message.Type === 'Notification' ? readSesEvent(message.Message) : null;
    if (judged !== null && judged.reason !== 'delivered') await this.awaitReply(judged);
    return { reports: judged === null ? [] : [judged], signedAt };
  }

  /** Amazon may know of an address before its reply to the mail is written down here: it is asked to tell again then. */
  private async awaitReply(judged: JudgedMail): Promise<void> {
    const takenMs = judged.takenAs?.at?.getTime() ?? 0;
    if (this.clock.now().getTime() - takenMs > REPLY_WRITTEN_MS) return;
    if ((await this.bounces.addressee({ judged, source: 'ses', envelopeTo: [] })) === null)
      throw new DomainError('HOOK_UNREACHABLE', 'the mail is not known yet');
  }

  private inTime(atMs: number, maxAgeMs: number): Date {
    const ageMs = this.clock.now().getTime() - atMs;
    if (!(ageMs <= maxAgeMs && ageMs >= -MAX_AHEAD_MS)) throw unsigned();
    return new Date(atMs);
  }
}

function key(configured: string | null): string {
  if (configured === null) {
    throw new DomainError('HOOK_NOT_FOUND', 'no key is set for webhooks of this provider');
  }
  return configured;
}

function unsigned(): DomainError {
  return new DomainError('HOOK_FORBIDDEN', 'the call is not signed by the provider, or too old');
}

function event<T>(read: () => T): T {
  try {
    return read();
  } catch {
    throw new DomainError('HOOK_INVALID', 'the body is no event of this provider');
  }
}
