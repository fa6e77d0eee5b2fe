/** `pending`: an address somebody typed. `active`: its owner said yes. The rest get no marketing, each for its own reason. */
export const SUBSCRIBER_STATUSES = ['pending', 'active', 'unsubscribed', 'bounced', 'complained'] as const;
export type SubscriberStatus = (typeof SUBSCRIBER_STATUSES)[number];

type SubscriptionEvent = 'confirm' | 'unsubscribe' | 'bounce' | 'complain';

type Row = Readonly<Record<SubscriptionEvent, SubscriberStatus | null>>;

/**
 * Where each event leads; null is refused. An address that a server called dead, or whose owner called us spam, is not
 * written to again: it costs the reputation every other mail travels on. One whose mails only did not arrive, as its
 * mailbox was full, comes back when its owner confirms anew or the sender decides so: see `SuppressionsService.mayComeBack`.
 */
const TRANSITIONS: Readonly<Record<SubscriberStatus, Row>> = {
  pending: { confirm: 'active', unsubscribe: 'unsubscribed', bounce: 'bounced', complain: 'complained' },
  active: { confirm: 'active', unsubscribe: 'unsubscribed', bounce: 'bounced', complain: 'complained' },
  unsubscribed: { confirm: 'active', unsubscribe: 'unsubscribed', bounce: 'bounced', complain: 'complained' },
  bounced: { confirm: null, unsubscribe: 'bounced', bounce: 'bounced', complain: 'complained' },
  complained: { confirm: null, unsubscribe: 'complained', bounce: 'complained', complain: 'complained' },
};

/** The status after the event, which may be the same one; null when the event must not happen in this status. */
export function nextStatus(status: SubscriberStatus, event: SubscriptionEvent): SubscriberStatus | null {
  return TRANSITIONS[status][event];
}
