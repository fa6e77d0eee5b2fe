import { domainToASCII } from 'node:url';
import type { ClaimedMessage } from './message.js';

/** A header written as it stands, on one line: a folded List-Unsubscribe broke signatures made further down the way. */
export interface PreparedHeader {
  prepared: true;
  foldLines: false;
  value: string;
}

const SENDER_ID = 'wellspring';

/**
 * What marketing mail carries beyond an ordinary mail, and transactional mail must not: List-Id (RFC 2919),
 * List-Unsubscribe (RFC 2369) with one-click (RFC 8058), and Gmail's Feedback-ID, which names no person.
 */
export function listHeaders(
  message: Pick<ClaimedMessage, 'class' | 'kind' | 'funnelKey' | 'stepKey' | 'sender'>,
  unsubscribeUrl: string,
): Record<string, PreparedHeader> {
  if (message.class !== 'marketing') return {};
  const { sender, funnelKey, kind, stepKey } = message;
  const domain = domainToASCII(sender.email.slice(sender.email.lastIndexOf('@') + 1));
  return {
    'List-ID': prepared(`<${funnelKey}.${domain}>`),
    'List-Unsubscribe': prepared(`<${unsubscribeUrl}>`),
    'List-Unsubscribe-Post': prepared('List-Unsubscribe=One-Click'),
    'Feedback-ID': prepared(`${stepKey ?? 'none'}:${kind}:${funnelKey}:${SENDER_ID}`),
  };
}

function prepared(value: string): PreparedHeader {
  return { prepared: true, foldLines: false, value };
}
