import { z } from 'zod';
import { parseEmailAddress } from '../../values/email-address.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../../values/header-text.js';

const text = (max: number) =>
  z.string().trim().min(1, 'must not be empty').max(max, `at most ${max} characters`);

/** Who mails are from. The law wants the postal address in each of them. */
export const senderSchema = z.strictObject({
  name: text(100).regex(HEADER_TEXT, HEADER_TEXT_ADVICE),
  email: z.string().superRefine((value, context) => {
    const parsed = parseEmailAddress(value);
    if (!parsed.ok) context.addIssue({ code: 'custom', message: parsed.reason });
    else if (parsed.smtpUtf8)
      context.addIssue({
        code: 'custom',
        message: 'use plain letters before the @: few servers on the way take mail from other ones',
      });
    else if (/^[^\w!#$%&'*+/=?^`{|}~-]|[^\p{L}\p{N}\p{M}]$/u.test(value))
      context.addIssue({ code: 'custom', message: 'remove what stands around it' });
  }),
  postalAddress: text(300),
});
