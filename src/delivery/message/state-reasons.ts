/** Of `message.state_reason`: the words that other code goes by. Whoever changes one changes what stands in each ledger. */

/** Held because its reader wants none for a while. */
export const PAUSED_BY_READER = 'paused by the reader';

/** Suppressed: of a broadcast whose reader has left the list that it is for. */
export const LEFT_LIST = 'left the list';

/** Suppressed: no mail of its class goes to the address. */
export const ON_SUPPRESSION_LIST = 'suppression list';

/** Suppressed: its reader wants nothing about its topic. */
export const OPTED_OUT = 'opted out of the topic';

/** Suppressed: its reader has not confirmed, has left or is gone. */
export const NOT_ACTIVE = 'subscriber is not active';

/** Suppressed: its reader has left by a link, which the database had not taken yet when the mail came up. */
export const LEFT_BY_LINK = 'left by a link';

/** Begins so: it waits for a DKIM key. */
export const WAITS_FOR_KEY = 'DKIM for ';

/** Put off: its workers have ended more than once before they had begun with its body. */
export const LEFT_BEHIND = 'its worker ended more than once';

/** Held until the split test of its broadcast has a result. */
export const WAITS_FOR_TEST = 'waits for the split test';

/** It came up outside its hours and waits for their next opening. */
export const OUTSIDE_HOURS = 'outside the send window';

/** Begins so: its reader has had as many as they get, and it waits until they have not. */
export const FREQUENCY_CAP = 'frequency cap';

/** Held: its broadcast stood still when it came up; it goes on with the broadcast. */
export const BROADCAST_PAUSED = 'broadcast paused';

/** Cancelled with its broadcast. */
export const BROADCAST_CANCELLED = 'broadcast cancelled';

/** Cancelled: its reader has confirmed their address by another mail. */
export const CONFIRMED_ALREADY = 'confirmed already';

/** Cancelled: it asked its reader to confirm an address that they have given up. */
export const READDRESSED = 'its reader has another address';

/** Cancelled where it was held; ends so, behind the reason for which it was held. */
export const CANCELLED_BY_OWNER = 'cancelled by the owner';

/** Cancelled: it was late, and when the owner let it go a later mail of its sequence had gone to its reader. */
export const LATER_STEP_WENT = 'a later step has gone';

/** Unknown, or put off to be sent once more: nobody is left who could say what the relay answered. */
export const ENDED_IN_BODY = 'the worker ended while the body was being sent';

/** Ready: it was unknown, and the owner has said so. */
export const SENT_AGAIN = 'sent once more by the owner';

/** Held: the mails of its sequence are paused; it goes on with them. */
export const SEQUENCE_PAUSED = 'sequence paused';

/** Held: made with what its reader has, it would hide from them what the law wants shown. */
export const WAY_OUT_HIDDEN = 'its reader could not see the link to unsubscribe';
export const ADDRESS_HIDDEN = 'its reader could not see the postal address';
export const UNFIT_REASONS: readonly string[] = [WAY_OUT_HIDDEN, ADDRESS_HIDDEN];

/** Held, and not for the owner's word: it is not theirs to release or to cancel one by one. */
export const NOT_FOR_OWNER: readonly string[] = [
  PAUSED_BY_READER,
  WAITS_FOR_TEST,
  BROADCAST_PAUSED,
  SEQUENCE_PAUSED,
];
