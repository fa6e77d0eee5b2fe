import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { TAG } from '../../delivery/relays/provider-tag.js';
import type { ReplyReason } from '../../delivery/replies/reply-reason.js';
import type { JudgedMail } from '../judged-mail.js';
import { bounceEvent, plainEvent, UNSUBSCRIBED, type ProviderEvent } from './provider-event.js';

export const mailgunBody = z.object({
  signature: z.object({ timestamp: z.string(), token: z.string().max(200), signature: z.string() }),
  'event-data': z.object({
    event: z.string(),
    severity: z.string().nullish(),
    reason: z.string().nullish(),
    // Events about the account have none.
    recipient: z.string().max(320).nullish(),
    'delivery-status': z
      .object({
        code: z.number().nullish(),
        'enhanced-code': z.string().nullish(),
        message: z.string().nullish(),
        description: z.string().nullish(),
      })
      .nullish(),
    envelope: z.object({ sender: z.string().nullish() }).nullish(),
    message: z.object({ headers: z.object({ 'message-id': z.string().nullish() }).nullish() }).nullish(),
    'user-variables': z.record(z.string(), z.unknown()).nullish(),
  }),
});

const REASONS: Readonly<Record<string, ReplyReason>> = {
  'suppress-bounce': 'provider_suppressed',
  'suppress-complaint': 'provider_suppressed',
  espblock: 'blocked',
  old: 'expired',
};

/** Null for what says nothing about delivery. */
export function readMailgunEvent({ 'event-data': given }: z.output<typeof mailgunBody>): JudgedMail | null {
  const status = given['delivery-status'];
  const tag = given['user-variables']?.[TAG];
  const words = status?.message || status?.description || '';
  const about: ProviderEvent = {
    recipient: given.recipient ?? '',
    diagnostic: typeof status?.code === 'number' && !/^\d{3}/.test(words) ? `${status.code} ${words}` : words,
    status: status?.['enhanced-code'],
    messageId: given.message?.headers?.['message-id'],
    returnPath: given.envelope?.sender,
    tag: typeof tag === 'string' ? tag : undefined,
    reporter: 'mailgun',
  };
  switch (given.event) {
    case 'failed': {
      if (given.severity === 'temporary') return plainEvent(about, { verdict: 'ignore', reason: 'delayed' });
      if (given.reason === 'suppress-unsubscribe') return plainEvent(about, UNSUBSCRIBED);
      return readFailure(about, given.reason ?? '');
    }
    case 'complained':
      return plainEvent(about, { verdict: 'complaint', reason: 'abuse' });
    case 'unsubscribed':
      return plainEvent(about, UNSUBSCRIBED);
    case 'delivered':
      return plainEvent(about, { verdict: 'ignore', reason: 'delivered' });
    default:
      return null;
  }
}

/** Mailgun's own words for a domain without a mail server. Final only when it lasts, as any unknown host. */
const NO_MX = /^(?:498 )?no mx for\b/i;

/** `bounce` is any final refusal: dead is the address only where the words say so. */
function readFailure(about: ProviderEvent, reason: string): JudgedMail {
  const known = REASONS[reason] ?? null;
  if (known === 'provider_suppressed') return plainEvent(about, { verdict: 'hard', reason: known });
  if (NO_MX.test(about.diagnostic ?? ''))
    return plainEvent(about, { verdict: 'hard', reason: 'host_unknown' });
  return bounceEvent(about, known, reason === 'bounce');
}

/** HMAC-SHA256 over time and token. It does not cover the event: keep the key as secret as a password. */
export function isSignedByMailgun(
  key: string,
  { timestamp, token, signature }: z.output<typeof mailgunBody>['signature'],
): boolean {
  const wanted = createHmac('sha256', key)
    .update(timestamp + token)
    .digest();
  const given = Buffer.from(signature, 'hex');
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
