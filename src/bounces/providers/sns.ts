import { createVerify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { urlOf } from '../../values/url.js';

/** What Amazon SNS posts (its developer guide, "Verifying the signatures of Amazon SNS messages"). */
export const snsMessage = z.object({
  Type: z.enum(['Notification', 'SubscriptionConfirmation', 'UnsubscribeConfirmation']),
  MessageId: z.string(),
  TopicArn: z.string(),
  Message: z.string(),
  Subject: z.string().nullish(),
  Timestamp: z.string(),
  SignatureVersion: z.enum(['1', '2']),
  Signature: z.string(),
  SigningCertURL: z.string(),
  SubscribeURL: z.string().optional(),
  Token: z.string().optional(),
});
export type SnsMessage = z.output<typeof snsMessage>;

const HOST = /^sns\.[a-z0-9-]{1,30}\.amazonaws\.com(?:\.cn)?$/;

/** An address of Amazon's and nobody else's; null otherwise. What comes from outside is fetched from nowhere else. */
export function amazonUrl(text: string): URL | null {
  const url = urlOf(text);
  if (url === null) return null;
  const plain = url.username === '' && url.password === '' && url.port === '';
  return url.protocol === 'https:' && plain && HOST.test(url.hostname) ? url : null;
}

export function isSignedBy(key: KeyObject, message: SnsMessage): boolean {
  try {
    const verifier = createVerify(message.SignatureVersion === '1' ? 'RSA-SHA1' : 'RSA-SHA256');
    return verifier.update(signedText(message)).verify(key, message.Signature, 'base64');
  } catch {
    return false;
  }
}

export function signedText(message: SnsMessage): string {
  const names =
    message.Type === 'Notification'
      ? (['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'] as const)
      : (['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'] as const);
  return names
    .flatMap((name) => {
      const value = message[name];
      return value === undefined || value === null ? [] : [`${name}\n${value}\n`];
    })
    .join('');
}
