import { instantText, rule, type Rule } from './explanation.js';

interface UseFacts {
  now: Date;
  message: { dueAt: Date; expiresAt: Date | null; unknownCount: number };
}

/**
 * Until when a mail that waits is of use. Where its turn comes later it never goes, however near that turn is: who reads
 * only when it may go waits for nothing.
 */
export function useRules({ now, message: { dueAt, expiresAt, unknownCount } }: UseFacts): Rule[] {
  if (expiresAt === null) return [];
  const until = `It is of use until ${instantText(expiresAt)}`;
  if (expiresAt <= now) return [rule('EXPIRED', 'stopped', `${until} only.`, expiresAt)];
  if (expiresAt > dueAt) return [rule('OF_USE_UNTIL', 'info', `${until}.`, expiresAt)];
  const turn = unknownCount > 0 ? 'is tried once more' : 'may go';
  const text = `${until} only, and the first time at which it ${turn} is later, ${instantText(dueAt)}: it is not sent.`;
  return [rule('EXPIRES', 'stopped', text, expiresAt)];
}
