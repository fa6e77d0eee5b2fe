import { generateKeyPairSync } from 'node:crypto';

/** What the providers sign their calls with, or send along, in tests of one installation that listens to them all. */
export const SENDGRID = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const POSTMARK_SECRET = 'postmark-secret-key';
export const MAILGUN_KEY = 'mailgun-signing-key';

export const PROVIDER_VARIABLES = {
  SENDGRID_WEBHOOK_KEY: SENDGRID.publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
  POSTMARK_WEBHOOK_SECRET: POSTMARK_SECRET,
  MAILGUN_WEBHOOK_KEY: MAILGUN_KEY,
};
