import { timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { TAG } from '../../delivery/relays/provider-tag.js';
import type { ReplyReason } from '../../delivery/replies/reply-reason.js';
import type { JudgedMail } from '../judged-mail.js';
import { bounceEvent, droppedEvent, plainEvent, UNSUBSCRIBED, type ProviderEvent } from './provider-event.js';
import { sha256 } from '../../values/sha256.js';

const event = z.object({
  RecordType: z.string(),
  Type: z.string().nullish(),
  Email: z.string().max(320).nullish(),
  Recipient: z.string().max(320).nullish(),
  Details: z.string().nullish(),
  Description: z.string().nullish(),
  SuppressSending: z.boolean().nullish(),
  SuppressionReason: z.string().nullish(),
  Metadata: z.record(z.string(), z.unknown()).nullish(),
});

const eventTimes = z.object({
  BouncedAt: z.string().nullish(),
  DeliveredAt: z.string().nullish(),
  ChangedAt: z.string().nullish(),
});

/** Postmark's own classes, for a bounce whose reply no rule knows. */
const TYPES: Readonly<Record<string, ReplyReason>> = {
  HardBounce: 'user_unknown',
  BadEmailAddress: 'user_unknown',
  ManuallyDeactivated: 'provider_suppressed',
  SoftBounce: 'unclear',
  Transient: 'delayed',
  DnsError: 'network_error',
  SpamNotification: 'spam',
  Blocked: 'blocked',
  DMARCPolicy: 'auth_failure',
  VirusNotification: 'virus',
  AddressChange: 'moved',
  AutoResponder: 'auto_reply',
  ChallengeVerification: 'auto_reply',
};
const NO_BOUNCE = new Set(['Transient', 'AutoResponder', 'ChallengeVerification', 'AddressChange']);

/** Null for what says nothing about delivery. */
export function readPostmarkEvent(body: unknown): JudgedMail | null {
  const given = event.parse(body);
  const tag = given.Metadata?.[TAG];
  const kind = given.Type ?? '';
  const about: ProviderEvent = {
    recipient: given.Email ?? given.Recipient ?? '',
    diagnostic: given.Details ?? given.Description,
    tag: typeof tag === 'string' ? tag : null,
    reporter: 'postmark',
  };
  switch (given.RecordType) {
    case 'Bounce': {
      const known = TYPES[kind] ?? null;
      if (known === 'provider_suppressed') return droppedEvent(about, known);
      return bounceEvent(NO_BOUNCE.has(kind) ? { ...about, diagnostic: '' } : about, known);
    }
    case 'SpamComplaint':
      return plainEvent(about, { verdict: 'complaint', reason: 'abuse' });
    case 'SubscriptionChange':
      return given.SuppressSending === true && given.SuppressionReason === 'ManualSuppression'
        ? plainEvent(about, UNSUBSCRIBED)
        : null;
    case 'Delivery':
      return plainEvent(about, { verdict: 'ignore', reason: 'delivered' });
    default:
      return null;
  }
}

/**
 * When it happened: a call that is repeated says so again, on whatever day, and is no second event. A repeated
 * "unsubscribed" must not end somebody who has confirmed anew since.
 */
export function postmarkEventAt(body: unknown): Date | undefined {
  const { BouncedAt, DeliveredAt, ChangedAt } = eventTimes.parse(body);
  const at = new Date(BouncedAt ?? DeliveredAt ?? ChangedAt ?? Number.NaN);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

/** Postmark signs nothing: the secret stands in the address it calls, as `https://hooks:SECRET@…` (HTTP Basic). */
export function isFromPostmark(secret: string, authorization: string): boolean {
  const given = /^basic ([A-Za-z0-9+/=]{1,1000})$/i.exec(authorization)?.[1];
  const decoded = Buffer.from(given ?? '', 'base64').toString('utf8');
  const password = decoded.slice(decoded.indexOf(':') + 1);
  return timingSafeEqual(sha256(password), sha256(secret));
}
