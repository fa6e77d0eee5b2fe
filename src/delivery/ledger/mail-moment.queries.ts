import { WHO_WAITS } from '../../subscribers/waiting-leavings.service.js';
import { OFF_ITS_LIST } from '../guards/left-list.queries.js';
import { EXPIRY } from '../message/expiry.js';
import { NEW_WORDS } from '../message/words-of-mail.js';
import { ARRIVED } from './message-evidence.queries.js';
import {
  BROADCAST_CANCELLED,
  BROADCAST_PAUSED,
  LEFT_BY_LINK,
  LEFT_LIST,
  NOT_ACTIVE,
  ON_SUPPRESSION_LIST,
  OPTED_OUT,
  PAUSED_BY_READER,
  SEQUENCE_PAUSED,
} from '../message/state-reasons.js';

/**
 * How things stand at this moment for each row `m`: its reader, and its broadcast or sequence. Read at the claim to spare the relay,
 * and by the barrier, which decides. Scalar look-ups behind `offset 0`, because PostgreSQL may turn an `exists` into a
 * hash of the whole table: quick for a list of thousands, seconds for every claim on a list of a million.
 */
export const MOMENT = `cross join lateral (select
    coalesce((select case when s.status <> 'active' then 'left' when s.paused_until is not null then 'paused' else 'active' end
      from subscriber s where s.id = m.subscriber_id), 'left') as reader,
    (m.subscriber_id = any(${WHO_WAITS}::bigint[])) is true as leaving,
    (select true from topic_opt_out t where t.subscriber_id = m.subscriber_id and t.topic_key = m.funnel_key) is true as opted_out,
    (select true from suppression x where x.email_hash = m.address_hash
      and (x.scope = 'all' or m.class = 'marketing') limit 1) is true as suppressed,
    (select case when k.lists is not null and ${OFF_ITS_LIST} then 'left' else k.state end
      from broadcast k where k.id = m.broadcast_id) as broadcast,
    (select true from sequence_pause q where q.funnel_key = m.funnel_key and q.resumed_at is null
      and m.kind = 'sequence' and m.class = 'marketing') is true as paused,
    ${NEW_WORDS} as new_words
  offset 0) moment`;

/** Beside `MOMENT`, so that the five look-ups stand, and are planned, once in a statement that asks several times. */
export const PROOF = `cross join lateral (select ${ARRIVED} as arrived offset 0) proof`;

const mayBeSent = (reader: string): string =>
  `(not moment.suppressed and (m.class = 'transactional' or (moment.reader ${reader} and not moment.leaving and not moment.opted_out)))`;
export const MAY_BE_SENT = `(${mayBeSent(`= 'active'`)} and moment.broadcast is distinct from 'left')`;
/** Asked of what may not be sent: whether that is only for the reader's pause. */
const MAY_BE_SENT_LATER = mayBeSent(`<> 'left'`);

/**
 * A step of a series waits for the end of its reader's pause. A broadcast is of its moment, and must come to its end: it
 * passes by whoever has a pause when their mail comes up.
 */
const WAITS_FOR_READER = `(m.broadcast_id is null and ${MAY_BE_SENT_LATER})`;

const WHY_SUPPRESSED = `case when ${MAY_BE_SENT_LATER} then case moment.broadcast when 'left' then '${LEFT_LIST}' else '${PAUSED_BY_READER}' end
  when moment.suppressed then '${ON_SUPPRESSION_LIST}'
  when moment.opted_out then '${OPTED_OUT}'
  when moment.leaving then '${LEFT_BY_LINK}'
  else '${NOT_ACTIVE}' end`;

/** In SQL: the state that a mail gets where the condition holds, and its `state_reason`. */
interface Rule {
  when: string;
  state: string;
  why: string;
}

const literal = (text: string): string => `'${text}'`;
const CANCELS: readonly Rule[] = [
  { when: `moment.broadcast = 'cancelled'`, state: literal('cancelled'), why: literal(BROADCAST_CANCELLED) },
  // While a try was under way, which has failed since.
  { when: 'm.withdrawn is not null', state: literal('cancelled'), why: 'm.withdrawn' },
];
const PAUSES: readonly Rule[] = [
  { when: `moment.broadcast = 'paused'`, state: literal('held'), why: literal(BROADCAST_PAUSED) },
  { when: 'moment.paused', state: literal('held'), why: literal(SEQUENCE_PAUSED) },
];
const anyOf = (rules: readonly Rule[]): string => `(${rules.map(({ when }) => when).join(' or ')}) is true`;

/**
 * What the barrier lets pass, where nothing has shown that the mail arrived already. One whose words were changed since its claim
 * goes back, and is made with the new ones.
 */
export const MAY_GO = `(${MAY_BE_SENT} and moment.new_words is null and not ${anyOf([...CANCELS, ...PAUSES])})`;

/** Whether a pause of the owner's or of its reader's is what keeps the mail. */
export const IS_PAUSED = `(${anyOf(PAUSES)} or (not ${MAY_BE_SENT} and ${WAITS_FOR_READER}))`;

/** What the claim asks beside the moment, in SQL. */
interface AtClaim {
  isExpired: string;
  /**
   * Of a restored backup, whose pauses may have ended since, and the mail gone out: their end must not send it again. So it
   * comes before them, and what is only late comes after.
   */
  restored: Rule;
  late: Rule;
}

/**
 * State and reason of a mail `m` that has come up, as two expressions beside `MOMENT` and `PROOF`: the first rule that
 * holds. Its broadcast or sequence goes before its reader, who is asked anew when that goes on. `go`: the state of one
 * that may be sent, which has no reason.
 */
export function fateSql(go: 'leased' | 'ready', atClaim?: AtClaim): { state: string; why: string } {
  const rules: Rule[] = [
    { when: 'proof.arrived is not null', state: literal('accepted'), why: 'proof.arrived' },
  ];
  if (atClaim)
    rules.push({ when: atClaim.isExpired, state: literal('expired'), why: literal(EXPIRY.tooLate()) });
  rules.push(...CANCELS);
  if (atClaim) rules.push(atClaim.restored);
  rules.push(...PAUSES);
  if (atClaim) rules.push(atClaim.late);
  rules.push(
    { when: MAY_BE_SENT, state: literal(go), why: 'null' },
    { when: WAITS_FOR_READER, state: literal('held'), why: WHY_SUPPRESSED },
    { when: 'true', state: literal('suppressed'), why: WHY_SUPPRESSED },
  );
  const of = (column: 'state' | 'why'): string =>
    `case ${rules.map((rule) => `when ${rule.when} then ${rule[column]}`).join('\n           ')} end`;
  return { state: of('state'), why: of('why') };
}

/**
 * Of a row that is found by its id. "is true" keeps the planner from `message_lease`, with which it would walk all that is
 * leased once for each of the ids: three quarters of the barrier's time.
 */
export const IS_LEASED = `(m.state = 'leased') is true`;
