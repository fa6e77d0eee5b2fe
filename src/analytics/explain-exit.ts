import {
  BROADCAST_CANCELLED,
  CANCELLED_BY_OWNER,
  CONFIRMED_ALREADY,
  LATER_STEP_WENT,
  LEFT_LIST,
  LEFT_BY_LINK,
  NOT_ACTIVE,
  ON_SUPPRESSION_LIST,
  OPTED_OUT,
  PAUSED_BY_READER,
  READDRESSED,
} from '../delivery/message/state-reasons.js';
import { EXIT } from '../sequences/steps/exit-reasons.js';
import { quoted } from './explanation.js';

/** Why somebody left a sequence, or why a mail is not sent any more. */
export interface Cause {
  code: string;
  /** What happened: a sentence without its end, so that one can say when. */
  what: string;
  /** Of what ends a sequence where the owner has said so: that it does. Of anything else that is plain. */
  ends: boolean;
}

type Words = readonly [code: string, what: (name: string) => string];

/** By what `triggerText` begins with; behind it the name. */
const TRIGGERS: Readonly<Record<string, Words>> = {
  purchased: ['EXITED_BY_PURCHASE', (product) => `The person bought ${quoted(product)}`],
  refunded: ['EXITED_BY_REFUND', (product) => `The person got their money back for ${quoted(product)}`],
  tagged: ['EXITED_BY_TAG', (tag) => `The person got the tag ${quoted(tag)}`],
  untagged: ['EXITED_BY_TAG', (tag) => `The person lost the tag ${quoted(tag)}`],
  'joined list': ['EXITED_BY_LIST', (list) => `The person came on the list ${quoted(list)}`],
  'left list': ['EXITED_BY_LIST', (list) => `The person left the list ${quoted(list)}`],
  member: ['EXITED_BY_MEMBERSHIP', membership],
  affiliate: [
    'EXITED_BY_AFFILIATE',
    (whose) => AFFILIATES[whose] ?? `The person came by the link of ${quoted(whose)}`,
  ],
  event: ['EXITED_BY_EVENT', (event) => `The event ${quoted(event)} came in`],
  clicked: ['EXITED_BY_MAIL', (step) => `The person clicked the mail ${quoted(step)}`],
  opened: ['EXITED_BY_MAIL', (step) => `The person opened the mail ${quoted(step)}`],
  field: ['EXITED_BY_FIELD', (field) => `The field ${quoted(field)} took the value that was waited for`],
};

const AFFILIATES: Readonly<Record<string, string>> = {
  self: 'The person became an affiliate',
  any: 'The person came by the link of an affiliate',
  none: 'The person came without an affiliate’s link',
};

function membership(productAndState: string): string {
  const [, product = productAndState, state = ''] = /^(.+) (\S+)$/.exec(productAndState) ?? [];
  return `The person’s membership of ${quoted(product)} became ${quoted(state)}`;
}

const STATUSES: Readonly<Record<string, string>> = {
  unsubscribed: 'The person unsubscribed',
  bounced: 'The address turned out to take no mail',
  complained: 'The person complained about a mail',
  pending: 'The person had to confirm the address anew',
};

/** By the reason as it stands there, `*` where a name is. */
const PLAIN: readonly (readonly [reason: string, ...Words])[] = [
  [EXIT.unsubscribed(), 'EXITED_BY_UNSUBSCRIBING', () => 'The person unsubscribed'],
  [EXIT.topic(), 'EXITED_BY_TOPIC', () => 'The person opted out of this topic'],
  [EXIT.removed(), 'REMOVED_BY_HAND', () => 'The owner took the person out of the sequence'],
  [EXIT.archived(), 'FUNNEL_ARCHIVED', () => 'The owner archived the funnel'],
  [EXIT.moved('*'), 'MOVED_ON', (sequence) => `The person moved on to ${quoted(sequence)}`],
  [EXIT.notActive('*'), 'SUBSCRIBER_NOT_ACTIVE', (status) => STATUSES[status] ?? `The person was ${status}`],
  [EXIT.goal('*'), 'GOAL_REACHED', (goal) => `The person reached the goal ${quoted(goal)}`],
  [EXIT.owns('*'), 'OWNS_PRODUCT', (product) => `The person came to own ${quoted(product)}`],
  [EXIT.stepOut(), 'STEP_TAKEN_OUT', () => 'The owner took its step out of the sequence'],
  ['erased', 'PERSON_ERASED', () => 'The person was erased'],
  [
    LATER_STEP_WENT,
    'LATER_STEP_WENT',
    () => 'It was late, and a later mail of the sequence had gone to the person',
  ],
  [READDRESSED, 'READDRESSED', () => 'The person got another address, and was asked there'],
  [CONFIRMED_ALREADY, 'CONFIRMED_ALREADY', () => 'The person confirmed the address by another mail'],
];

/** What keeps a mail from its reader, of one whose first try was unclear: elsewhere the rules say so with more words. */
const WITHHELD: Readonly<Record<string, Words>> = {
  [BROADCAST_CANCELLED]: ['BROADCAST_CANCELLED', () => 'Its broadcast was cancelled'],
  [LEFT_LIST]: ['LEFT_LIST', () => 'The person left the list that the broadcast is for'],
  [PAUSED_BY_READER]: ['PAUSED_BY_READER', () => 'The person asked for a pause'],
  [ON_SUPPRESSION_LIST]: ['SUPPRESSED', () => 'The address came on the suppression list'],
  [OPTED_OUT]: ['TOPIC_OPTED_OUT', () => 'The person opted out of its topic'],
  [LEFT_BY_LINK]: ['LEFT_BY_LINK', () => 'The person left by the link of a mail'],
  [NOT_ACTIVE]: ['SUBSCRIBER_NOT_ACTIVE', () => 'The person is not on the list any more'],
};

/** Null for a reason that is none of these. */
export function exitCause(reason: string): Cause | null {
  for (const [pattern, code, what] of PLAIN) {
    const name = nameIn(reason, pattern);
    if (name !== null) return { code, what: what(name), ends: false };
  }
  for (const [kind, [code, what]] of Object.entries(TRIGGERS))
    if (reason.startsWith(`${kind} `)) return { code, what: what(reason.slice(kind.length + 1)), ends: true };
  return null;
}

/** Why a mail is not tried once more whose first try may have been taken; null for what a try left. */
export function withheldCause(reason: string): Cause | null {
  const [code, what] = WITHHELD[reason] ?? [];
  if (code !== undefined && what !== undefined) return { code, what: what(''), ends: false };
  if (isOwners(reason)) return { code: 'CANCELLED_BY_OWNER', what: 'The owner gave it up', ends: false };
  return exitCause(reason);
}

/** What was held, and the owner then cancelled: behind the reason for which it was held, if there was one. */
export function isOwners(reason: string): boolean {
  return reason === CANCELLED_BY_OWNER || reason.endsWith(`, ${CANCELLED_BY_OWNER}`);
}

/** Null when the reason is another; '' where the pattern has no name. */
function nameIn(reason: string, pattern: string): string | null {
  const at = pattern.indexOf('*');
  if (at < 0) return reason === pattern ? '' : null;
  const [before, after] = [pattern.slice(0, at), pattern.slice(at + 1)];
  const fits = reason.startsWith(before) && reason.endsWith(after) && reason.length > pattern.length - 1;
  return fits ? reason.slice(before.length, reason.length - after.length) : null;
}
