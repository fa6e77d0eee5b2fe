import { createPublicKey, verify } from 'node:crypto';
import { z } from 'zod';
import { TAG } from '../../delivery/relays/provider-tag.js';
import type { ReplyReason } from '../../delivery/replies/reply-reason.js';
import type { JudgedMail } from '../judged-mail.js';
import { bounceEvent, droppedEvent, plainEvent, UNSUBSCRIBED, type ProviderEvent } from './provider-event.js';

const event = z.object({
  event: z.string(),
  email: z.string().max(320),
  reason: z.string().nullish(),
  response: z.string().nullish(),
  status: z.string().nullish(),
  type: z.string().nullish(),
  bounce_classification: z.string().nullish(),
  'smtp-id': z.string().nullish(),
  [TAG]: z.string().nullish(),
});

/** What SendGrid calls a refusal; its other classes say no more than that there was one. */
const CLASSES: readonly (readonly [RegExp, ReplyReason])[] = [
  [/^invalid address/i, 'user_unknown'],
  [/^reputation/i, 'bad_reputation'],
  [/^content/i, 'content'],
  [/^frequency/i, 'rate_limited'],
];

/** Why SendGrid did not even try. */
const DROPPED: readonly (readonly [RegExp, ReplyReason])[] = [
  [/bounced address|^invalid$|spam reporting address/i, 'provider_suppressed'],
  [/smtpapi/i, 'content'],
  [/spam content/i, 'spam'],
  [/quota/i, 'rate_limited'],
];

/** Events that say nothing about delivery, and those this release does not know, are left out. */
export function readSendgridEvents(body: unknown): JudgedMail[] {
  return z
    .array(z.unknown())
    .max(10_000)
    .parse(body)
    .flatMap((one) => {
      const parsed = event.safeParse(one);
      return parsed.success ? (readEvent(parsed.data) ?? []) : [];
    });
}

function readEvent(given: z.output<typeof event>): JudgedMail | null {
  const about: ProviderEvent = {
    recipient: given.email,
    diagnostic: given.reason ?? given.response,
    status: given.status,
    messageId: given['smtp-id'],
    tag: given[TAG],
    reporter: 'sendgrid',
  };
  switch (given.event) {
    case 'bounce':
      return bounceEvent(about, ownClass(given));
    case 'dropped':
      if (/unsubscribed address/i.test(given.reason ?? '')) return plainEvent(about, UNSUBSCRIBED);
      return droppedEvent(about, DROPPED.find(([says]) => says.test(given.reason ?? ''))?.[1] ?? null);
    case 'spamreport':
      return plainEvent(about, { verdict: 'complaint', reason: 'abuse' });
    case 'unsubscribe':
    case 'group_unsubscribe':
      return plainEvent(about, UNSUBSCRIBED);
    case 'delivered':
      return plainEvent(about, { verdict: 'ignore', reason: 'delivered' });
    default:
      return null;
  }
}

/** A refusal that it calls blocked is about the sender: it goes on writing to the address. */
function ownClass({ type, bounce_classification: name }: z.output<typeof event>): ReplyReason | null {
  const known = CLASSES.find(([says]) => says.test(name ?? ''))?.[1] ?? null;
  return type === 'blocked' && (known === null || known === 'user_unknown') ? 'blocked' : known;
}

/** ECDSA over the time and the raw body, as SendGrid's signed event webhook sends it. `key`: base64 of the DER. */
export function isSignedBySendgrid(
  key: string,
  { timestamp, signature, raw }: { timestamp: string; signature: string; raw: Buffer },
): boolean {
  try {
    const publicKey = createPublicKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'spki' });
    const signed = Buffer.concat([Buffer.from(timestamp), raw]);
    return verify('sha256', signed, publicKey, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
}
