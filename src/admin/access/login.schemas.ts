import { z } from 'zod';
import { parseEmailAddress, type EmailAddressParse } from '../../values/email-address.js';

/** OWASP's floor for a password without a second factor, rounded up; the upper bound keeps hashing affordable. */
const MIN_PASSWORD_CHARS = 12;
const MAX_PASSWORD_CHARS = 256;

export const text = z.string({ error: 'send this once, as text' });

const email = text.default('').transform((value, context): Extract<EmailAddressParse, { ok: true }> => {
  const parsed = parseEmailAddress(value);
  if (parsed.ok) return parsed;
  context.addIssue({ code: 'custom', message: `Please check the email address: ${parsed.reason}.` });
  return z.NEVER;
});

export const firstRunForm = z.object({
  email,
  code: text.default(''),
  password: text
    .default('')
    .pipe(
      z
        .string()
        .min(MIN_PASSWORD_CHARS, `A password has at least ${MIN_PASSWORD_CHARS} characters.`)
        .max(MAX_PASSWORD_CHARS, `A password has at most ${MAX_PASSWORD_CHARS} characters.`),
    ),
});

export const loginForm = z.object({
  email,
  password: text
    .default('')
    .pipe(
      z.string().min(1, 'Type the password.').max(MAX_PASSWORD_CHARS, 'This is too long for a password.'),
    ),
  next: text.optional(),
});

/** The address that was typed, to fill the form again. Passwords are never sent back. */
export function typedEmail(body: unknown): string {
  const given = typeof body === 'object' && body !== null && 'email' in body ? body.email : '';
  return typeof given === 'string' ? given.slice(0, 1000) : '';
}
