import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { RateLimits } from '../infra/rate-limits/rate-limits.service.js';
import { DomainError } from '../values/domain-error.js';
import { BouncesService, type BounceSource } from './bounces.service.js';
import type { JudgedMail } from './judged-mail.js';
import { isSignedByMailgun, mailgunBody, readMailgunEvent } from './providers/mailgun.js';
import { isFromPostmark, readPostmarkEvent } from './providers/postmark.js';
import { isSignedBySendgrid, readSendgridEvents } from './providers/sendgrid.js';
import { readSesEvent } from './providers/ses.js';
import { snsMessage } from './providers/sns.js';
import { SnsVerifier } from './sns-verifier.service.js';

export type Provider = Extract<BounceSource, 'ses' | 'sendgrid' | 'postmark' | 'mailgun'>;

export interface HookCall {
  raw: Buffer;
  body: unknown;
  header: (name: string) => string;
}

/** Older than this, a signed call may be somebody's copy. A repeated one in time counts once, like any report. */
const MAX_AGE_MS = 300_000;
/**
 * Amazon signs an event once and repeats it for up to an hour while nobody answers. Its signature covers all of it and
 * each event counts once, so an old copy does nothing that the first one has not done.
 */
const MAX_SNS_AGE_MS = 3_900_000;
/** Mailgun signs no event, only a token, so each token is good for one call while its time would be. */
const MAILGUN_TOKEN = { name: 'mailgun-token', points: 1, seconds: 900 };

/** Webhooks of mail providers. The answer is 2xx only when all of a call is counted; else the provider sends it again. */
@Injectable()
export class HooksService {
  constructor(
    private readonly bounces: BouncesService,
    private readonly sns: SnsVerifier,
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Throws `HOOK_NOT_FOUND` for a provider without a key in the settings, `HOOK_FORBIDDEN` for a call that is not
   * genuine or too old, `HOOK_INVALID` for one that is no event.
   */
  async receive(provider: Provider, call: HookCall): Promise<void> {
    if (provider === 'mailgun') return this.receiveMailgun(call);
    for (const judged of await this.read(provider, call)) await this.take(provider, judged);
  }

  private async take(provider: Provider, judged: JudgedMail): Promise<void> {
    await this.bounces.take({ judged, source: provider, envelopeTo: [] });
  }

  private async receiveMailgun({ body: given }: HookCall): Promise<void> {
    const secret = key(this.config.mailgunWebhookKey);
    const body = event(() => mailgunBody.parse(given));
    const { timestamp, token } = body.signature;
    if (!isSignedByMailgun(secret, body.signature)) throw unsigned();
    this.inTime(Number(timestamp) * 1000);
    if (!(await this.limits.take(MAILGUN_TOKEN, token)).allowed) throw unsigned();
    const judged = readMailgunEvent(body);
    try {
      if (judged !== null) await this.take('mailgun', judged);
    } catch (error) {
      // Nothing was counted: Mailgun's next try with this token is to be heard.
      await this.limits.clear(MAILGUN_TOKEN, token);
      throw error;
    }
  }

  private async read(provider: Exclude<Provider, 'mailgun'>, call: HookCall): Promise<JudgedMail[]> {
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
        this.inTime(Number(timestamp) * 1000);
        return event(() => readSendgridEvents(call.body));
      }
      case 'postmark':
        if (!isFromPostmark(key(this.config.postmarkWebhookSecret), call.header('authorization')))
          throw unsigned();
        return event(() => [readPostmarkEvent(call.body)].filter((one) => one !== null));
      default:
        return provider satisfies never;
    }
  }

  /** Anybody may have a topic that Amazon signs for; only the owner's is listened to. */
  private async readSes(topicArn: string, { raw }: HookCall): Promise<JudgedMail[]> {
    const message = event(() => snsMessage.parse(JSON.parse(raw.toString('utf8'))));
    if (message.TopicArn !== topicArn) throw unsigned();
    if (!(await this.sns.isGenuine(message, this.clock.now()))) throw unsigned();
    this.inTime(Date.parse(message.Timestamp), MAX_SNS_AGE_MS);
    if (message.Type === 'SubscriptionConfirmation') {
      if (!(await this.sns.confirm(message))) throw unsigned();
      return [];
    }
    const judged = message.Type === 'Notification' ? readSesEvent(message.Message) : null;
    return judged === null ? [] : [judged];
  }

  private inTime(atMs: number, maxAgeMs = MAX_AGE_MS): void {
    const ageMs = this.clock.now().getTime() - atMs;
    if (!(ageMs <= maxAgeMs && ageMs >= -MAX_AGE_MS)) throw unsigned();
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
