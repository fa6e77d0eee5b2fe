import { z } from 'zod';
import { parseEmailAddress, type EmailAddressParse } from '../../values/email-address.js';

/** A field of a form as a browser sends it. */
export const formText = z.string({ error: 'send this once, as text' });

/** The address that was typed into one. */
export const formEmail = formText
  .default('')
  .transform((value, context): Extract<EmailAddressParse, { ok: true }> => {
    const parsed = parseEmailAddress(value);
    if (parsed.ok) return parsed;
    context.addIssue({ code: 'custom', message: `Please check the email address: ${parsed.reason}.` });
    return z.NEVER;
  });
