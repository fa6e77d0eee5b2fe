import { z } from 'zod';
import { formEmail, formText } from '../../infra/http/form-text.schemas.js';

/** OWASP's floor for a password without a second factor, rounded up; the upper bound keeps hashing affordable. */
const MIN_PASSWORD_CHARS = 12;
const MAX_PASSWORD_CHARS = 256;

export const firstRunForm = z.object({
  email: formEmail,
  code: formText.default(''),
  password: formText
    .default('')
    .pipe(
      z
        .string()
        .min(MIN_PASSWORD_CHARS, `A password has at least ${MIN_PASSWORD_CHARS} characters.`)
        .max(MAX_PASSWORD_CHARS, `A password has at most ${MAX_PASSWORD_CHARS} characters.`),
    ),
});

export const loginForm = z.object({
  email: formEmail,
  password: formText
    .default('')
    .pipe(
      z.string().min(1, 'Type the password.').max(MAX_PASSWORD_CHARS, 'This is too long for a password.'),
    ),
  next: formText.optional(),
});

/** The address that was typed, to fill the form again. Passwords are never sent back. */
export function typedEmail(body: unknown): string {
  const given = typeof body === 'object' && body !== null && 'email' in body ? body.email : '';
  return typeof given === 'string' ? given.slice(0, 1000) : '';
}
