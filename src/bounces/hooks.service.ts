import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
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

/** Webhooks of mail providers. The answer is 2xx only when all of a call is counted; else the provider sends it again. */
@Injectable()
export class HooksService {
  constructor(
    private readonly bounces: BouncesService,
    private readonly sns: SnsVerifier,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Throws `HOOK_NOT_FOUND` for a provider without a key in the settings, `HOOK_UNSIGNED` for a call that is not
   * genuine or too old, `HOOK_INVALID` for one that is no event.
   */
  async receive(provider: Provider, call: HookCall): Promise<void> {
    for (const judged of await this.read(provider, call)) {
      await this.bounces.take({ judged, source: provider, envelopeTo: [] });
    }
  }

  private async read(provider: Provider, call: HookCall): Promise<JudgedMail[]> {
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
      case 'mailgun': {
        const secret = key(this.config.mailgunWebhookKey);
        const body = event(() => mailgunBody.parse(call.body));
        if (!isSignedByMailgun(secret, body.signature)) throw unsigned();
        this.inTime(Number(body.signature.timestamp) * 1000);
        return [readMailgunEvent(body)].filter((one) => one !== null);
      }
      default:
        return provider satisfies never;
    }
  }

  /** Anybody may have a topic that Amazon signs for; only the owner's is listened to. */
  private async readSes(topicArn: string, { raw }: HookCall): Promise<JudgedMail[]> {
    const message = event(() => snsMessage.parse(JSON.parse(raw.toString('utf8'))));
    if (message.TopicArn !== topicArn) throw unsigned();
    if (!(await this.sns.isGenuine(message, this.clock.now()))) throw unsigned();
    this.inTime(Date.parse(message.Timestamp));
    if (message.Type === 'SubscriptionConfirmation') {
      if (!(await this.sns.confirm(message))) throw unsigned();
      return [];
    }
    const judged = message.Type === 'Notification' ? readSesEvent(message.Message) : null;
    return judged === null ? [] : [judged];
  }

  private inTime(atMs: number): void {
    if (!(Math.abs(this.clock.now().getTime() - atMs) <= MAX_AGE_MS)) throw unsigned();
  }
}

function key(configured: string | null): string {
  if (configured === null) {
    throw new DomainError('HOOK_NOT_FOUND', 'no key is set for webhooks of this provider');
  }
  return configured;
}

function unsigned(): DomainError {
  return new DomainError('HOOK_UNSIGNED', 'the call is not signed by the provider, or too old');
}

function event<T>(read: () => T): T {
  try {
    return read();
  } catch {
    throw new DomainError('HOOK_INVALID', 'the body is no event of this provider');
  }
}
