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
/** What failed at Postmark or before it, for the sender's sake: the words beside it are Postmark's own. */
const OWN_FAILURES: Readonly<Record<string, ReplyReason>> = {
  ManuallyDeactivated: 'provider_suppressed',
  TemplateRenderingFailed: 'content',
  SMTPApiError: 'protocol',
  Unconfirmed: 'sender_rejected',
};
/** About no mail of ours: a subscription, a stranger's test, a webhook of the owner's that takes no mail in. */
const ABOUT_OTHERS = new Set(['Subscribe', 'OpenRelayTest', 'InboundError']);

const COMPLAINT = { verdict: 'complaint', reason: 'abuse' } as const;

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
    case 'Bounce':
      return readBounce(about, kind);
    case 'SpamComplaint':
      return plainEvent(about, COMPLAINT);
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

function readBounce(about: ProviderEvent, kind: string): JudgedMail | null {
  if (ABOUT_OTHERS.has(kind)) return null;
  if (kind === 'Unsubscribe') return plainEvent(about, UNSUBSCRIBED);
  if (kind === 'SpamComplaint') return plainEvent(about, COMPLAINT);
  const own = OWN_FAILURES[kind];
  if (own !== undefined) return droppedEvent(about, own);
  return bounceEvent(NO_BOUNCE.has(kind) ? { ...about, diagnostic: '' } : about, TYPES[kind] ?? null);
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
