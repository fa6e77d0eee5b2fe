import type { MessageClass } from '../message/message.js';

/**
 * Days that a mail without an end of its own waits while no relay works, for a DKIM key, or is put off at every try. RFC 5321 §4.5.4.1 has four to
 * five. A receipt is of use for longer; news of last week, all at once, make people leave.
 */
export const LONGEST_WAIT_DAYS: Readonly<Record<MessageClass, number>> = { transactional: 7, marketing: 5 };
