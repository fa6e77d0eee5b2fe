import { domainOf, wireAddress } from '../../values/email-address.js';
import type { ClaimedMessage } from '../message/message.js';
import { unsubscribeAddress } from './verp.js';

/** What the owner has set about headers; a part of the configuration. */
export interface HeaderSettings {
  /** Takes unsubscribe mails beside bounces; null: only the link is offered. */
  bounceDomain: string | null;
  /** Last part of Feedback-ID, 5 to 15 letters and digits, the same for ever: Gmail's reports are kept under it. */
  feedbackSenderId: string;
  /** Where providers may send complaints (RFC 9477); null: nowhere. */
  cfblAddress: string | null;
}

type Described = Pick<
  ClaimedMessage,
  'class' | 'kind' | 'funnelKey' | 'stepKey' | 'sender' | 'messageIdHeader'
> & { broadcastId?: string | null; data?: Record<string, unknown> };

/** RFC 2919 §3. */
const MAX_LIST_ID = 255;

/**
 * The headers of ours beside those that every mail has. Marketing mail carries List-Id (RFC 2919), List-Unsubscribe (RFC 2369) with one-click
 * (RFC 8058) and Gmail's Feedback-ID, which names no person; transactional mail must not. Nothing here comes from
 * what a subscriber or a template says, so no header can be added or doubled that way.
 */
export function mailHeaders(
  message: Described,
  unsubscribeUrl: string,
  settings: HeaderSettings,
): Record<string, string> {
  const id = message.messageIdHeader.slice(1, message.messageIdHeader.indexOf('@'));
  const replyTo = message.kind === 'api' ? message.data?.['replyTo'] : undefined;
  return {
    // Some relays put a Message-ID of their own in place of ours; a bounce still brings this one back.
    'X-Wellspring-Id': id,
    ...(message.class === 'marketing' ? marketingHeaders(message, unsubscribeUrl, settings) : {}),
    ...(typeof replyTo === 'string' ? { 'Reply-To': wireAddress(replyTo) } : {}),
    // RFC 3834 §5: nobody's vacation program answers a notice.
    ...(message.kind === 'notice' ? { 'Auto-Submitted': 'auto-generated' } : {}),
    ...(settings.cfblAddress === null ? {} : { 'CFBL-Address': `${settings.cfblAddress}; report=arf` }),
  };
}

function marketingHeaders(
  { sender, funnelKey, kind, stepKey, broadcastId }: Described,
  unsubscribeUrl: string,
  { bounceDomain, feedbackSenderId }: HeaderSettings,
): Record<string, string> {
  const list = funnelKey || 'broadcasts';
  const campaign = stepKey ?? (broadcastId ? `b${broadcastId}` : 'none');
  const mailto =
    bounceDomain === null
      ? ''
      : `, <mailto:${unsubscribeAddress(unsubscribeUrl.slice(unsubscribeUrl.lastIndexOf('/') + 1), bounceDomain)}?subject=unsubscribe>`;
  return {
    'List-ID': `<${listId(list, sender.email)}>`,
    'List-Unsubscribe': `<${unsubscribeUrl}>${mailto}`,
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    'Feedback-ID': distinct([campaign, kind, list, feedbackSenderId]).join(':'),
  };
}

/** Plain ASCII, as the header has no encoding of its own. A domain too long for it gives its first labels. */
function listId(list: string, senderEmail: string): string {
  const labels = domainOf(senderEmail).split('.');
  while (labels.length > 1 && list.length + 1 + labels.join('.').length > MAX_LIST_ID) labels.shift();
  return `${list}.${labels.join('.')}`;
}

/** Gmail counts each part by itself, so none may say what another says. The last one stays as it is. */
function distinct(parts: string[]): string[] {
  return parts.map((part, index) => (parts.indexOf(part, index + 1) === -1 ? part : `${part}-${index + 1}`));
}
