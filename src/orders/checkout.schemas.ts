import { z } from 'zod';
import { formEmail, formText } from '../infra/http/form-text.schemas.js';

const MAX_NAME_CHARS = 120;

/** A checkout as a browser sends it. Unknown fields are left alone: extensions of browsers add their own. */
export const checkoutForm = z.object({
  email: formEmail,
  name: formText
    .default('')
    .transform((value) => value.trim())
    .pipe(z.string().max(MAX_NAME_CHARS, `A name has at most ${MAX_NAME_CHARS} characters.`))
    .refine((value) => !/\p{Cc}/u.test(value), 'A name has no line breaks or control characters.')
    .transform((value) => (value === '' ? null : value)),
  bump: z
    .enum(['yes', 'on', 'true', '1', ''], { error: 'Tick the box or leave it.' })
    .default('')
    .transform((value) => value !== ''),
  m: formText.default(''),
});

export type CheckoutForm = z.output<typeof checkoutForm>;

/** What was typed, to fill the form again; never more than a form holds. */
export function typedValues(body: unknown): { email: string; name: string; bump: boolean } {
  const given = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  const typed = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 1000) : '');
  return { email: typed(given['email']), name: typed(given['name']), bump: typed(given['bump']) !== '' };
}

export const upsellForm = z.object({
  answer: z.enum(['accept', 'decline'], { error: 'Choose Yes or No thanks.' }),
});

export const paymentForm = z.object({
  outcome: z.enum(['paid', 'declined'], { error: 'Choose Pay or Decline.' }),
});
