import { Injectable } from '@nestjs/common';
import type { PoolClient } from 'pg';
import { DataSource } from 'typeorm';
import { arrayLiteral } from '../../infra/database/array-literal.js';
import { pgPool } from '../../infra/database/pg-pool.js';
import type { Fence } from '../generation/generation.js';
import { JUDGED, SERVER } from '../generation/generation.queries.js';
import { WitnessFiles } from '../generation/witness-files.service.js';
import type { ToldMail, Witness } from '../generation/witness.js';
import { dataAt } from '../message/mail-data.js';
import { CLAIM, CLAIM_OTHERS, LEASE } from './claim.queries.js';
import type { PlaceWant } from './due-places.js';
import { fateSql, IS_LEASED, MAY_GO, MOMENT, PROOF } from './mail-moment.queries.js';
import { ARRIVED, EVIDENCE } from './message-evidence.queries.js';
import { withoutSending, type ClaimedMessage } from '../message/message.js';
import { PRESENT } from './worker-presence.service.js';
import { ENDED_IN_BODY, LEFT_BEHIND } from '../message/state-reasons.js';
import { OVERDUE, type OverdueParameters } from '../message/overdue.js';
import type { Settlement } from '../replies/settlement.js';
import { LEAVINGS_KNOWN } from '../../subscribers/keepers.service.js';
import { ERASED } from '../../subscribers/erased.js';

export type Claim = ToldMail;

/** What a worker asks for. */
export interface ClaimOrder {
  places: PlaceWant[];
  limit: number;
  now: Date;
  overdue: OverdueParameters;
  fence: Fence;
  /** Templates whose mails are passed over. */
  putOff?: readonly string[];
}

export interface Taken {
  /** Rows that are in another state than before. */
  taken: number;
  messages: ClaimedMessage[];
  /** Some are held as late mails. */
  heldLate: boolean;
}

/** After the lease, for the reply of a mail whose body was begun in the lease's last moment. */
const BODY_GRACE = `interval '5 minutes'`;

/**
 * The hot statements of the send ledger. Due times are compared with the application's clock, which tests and demo mode
 * move; leases run on the database's, which no host can turn back.
 *
 * A row is touched three times on its way: claim, barrier, settle. The barrier changes no indexed column, so PostgreSQL
 * writes it in place (HOT); that is why "the body is under way" is `data_at`, not a state of its own.
 */
@Injectable()
export class LedgerQueries {
  readonly #senders = new Map<string, ClaimedMessage['sender']>();
  #fence: Fence | null = null;
  #witness: Witness | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly witnesses: WitnessFiles,
  ) {}

  /**
   * Called by delivery.send-due. Takes due rows of each queue and priority and commits at once: a row lock held across SMTP would
   * stall every other worker. SKIP LOCKED gives two workers disjoint rows. What has arrived already, has expired, is late,
   * belongs to a broadcast that stands still or may not be sent changes its state here; `taken` counts it too. Served by
   * `message_ready`. Takes nothing where the fence does not hold. `db` is the connection of a transaction that decides more before it commits;
   * whoever commits it says so by `committed`.
   */
  async claim(
    owner: string,
    { places, limit, now, overdue, fence, putOff = [] }: ClaimOrder,
    db?: Pick<PoolClient, 'query'>,
  ): Promise<Taken> {
    this.#fence = fence;
    const { rows } = await (db ?? pgPool(this.dataSource)).query<ClaimedRow>({
      ...(putOff.length === 0 ? { name: 'ledger-claim', text: CLAIM } : { text: CLAIM_OTHERS }),
      values: [
        owner,
        limit,
        now,
        places.map(({ queueKey }) => queueKey),
        places.map((place) => place.limit),
        overdue.restored?.confirmedAt,
        overdue.restored?.action,
        overdue.late?.overdueBefore,
        overdue.late?.dueBy,
        overdue.late?.action,
        fence.lineage,
        fence.generation,
        fence.counter,
        fence.server,
        places.map(({ priority }) => priority),
        overdue.unsigned?.before,
        overdue.unsigned?.action,
        ...(putOff.length === 0 ? [] : [putOff]),
      ],
    });
    const messages = rows
      .filter(({ state }) => state === 'leased')
      .map((row) => ({ ...row, sender: this.sender(row.sender), data: dataAt(row.data, now) }));
    if (db === undefined) this.committed(messages);
    return { taken: rows.length, messages, heldLate: rows.some(({ heldFor }) => heldFor === OVERDUE) };
  }

  /**
   * What a transaction of somebody else's has claimed, once that is committed. A claim that was rolled back, as by a restart
   * of PostgreSQL, is not in the ledger, which would then look older than what was sent, and be refused by every worker.
   */
  committed(claimed: readonly Claim[]): void {
    const last = claimed.at(-1);
    if (last !== undefined) this.told({ claimed: { id: last.id, epoch: last.epoch } });
  }

  /**
   * One transaction for everything that waits: what became of the mails that are through, and the barrier for those
   * whose relay has said 354. Consent, suppression, cancellation and, of a mail that is sent once more, what has shown that
   * the first arrived are looked at here, at the last possible moment; and whether the ledger is where it was judged, as a mail
   * that was claimed before a backup was made is still claimed in it, and a pause or a leaving since is not known there. Nothing of a
   * list passes while somebody may have left of whom the database does not know. After
   * each restart of PostgreSQL what waits here is held back, and goes once a worker has judged that.
   * Returns the ids that may go; of any other not one byte of the body may be sent.
   *
   * Fenced by the lease's epoch: a worker that comes back late cannot undo what happened since. It may still say what
   * became of a mail the reaper has called unknown meanwhile: nobody else has had that one. The attempt is written down
   * in any case; a 250 that came too late is evidence. Its words are kept with a mail that is settled by them and whose
   * reader has not been erased meanwhile: relays like to quote addresses.
   *
   * `again`: the answer to the first try was lost, and its commit may have been made. The barrier then lets a mail pass
   * a second time in the same lease: nothing of its body has gone.
   */
  async write(
    settlements: readonly Settlement[],
    barrier: readonly Claim[],
    again = false,
  ): Promise<Set<string>> {
    const column = (of: (settlement: Settlement) => string | number | null): string =>
      arrayLiteral(settlements.map(of));
    const { rows } = await pgPool(this.dataSource).query<Entered | Answered>({
      name: 'ledger-write',
      text: WRITE,
      values: [
        ...(['id', 'epoch', 'state', 'reason'] as const).map((name) => column((one) => one[name])),
        column(({ dueAt }) => dueAt?.toISOString() ?? null),
        ...(['code', 'reply', 'stage'] as const).map((name) => column((one) => one[name])),
        column(({ acceptedAt }) => acceptedAt?.toISOString() ?? null),
        column(({ countsAsAttempt }) => (countsAsAttempt ? 0 : 1)),
        column(({ countsAsUnknown }) => (countsAsUnknown ? 1 : 0)),
        ...(['relay', 'tls', 'durationMs'] as const).map((name) => column((one) => one[name])),
        arrayLiteral(barrier.map(({ id }) => id)),
        arrayLiteral(barrier.map(({ epoch }) => epoch)),
        again,
      ],
    });
    const answer = rows.find((row) => row.server !== null);
    const entered = new Set(rows.flatMap(({ id, server }) => (server === null ? [id] : [])));
    // What another run of the server says it has written proves nothing about what this one was told before.
    if (answer !== undefined && answer.server === this.#fence?.server) {
      const begun = barrier.find(({ id }) => entered.has(id));
      this.told({
        ...(answer.id !== null && { ended: { id: answer.id, epoch: answer.epoch } }),
        ...(begun && { entered: { id: begun.id, epoch: begun.epoch } }),
      });
    }
    return entered;
  }

  /** By the run of the server that was judged last. */
  private told(what: Partial<Pick<Witness, 'claimed' | 'entered' | 'ended'>>): void {
    if (this.#fence === null || Object.keys(what).length === 0) return;
    const { server, lineage, generation } = this.#fence;
    const last = this.#witness;
    const isSame = last?.server === server && last.generation === generation && last.lineage === lineage;
    const before = isSame ? last : null;
    const nothing = { claimed: null, entered: null, ended: null };
    this.#witness = { ...nothing, ...before, ...what, lineage, generation, server };
    this.witnesses.tell(this.#witness);
  }

  get witness(): Witness | null {
    return this.#witness;
  }

  /**
   * What the barrier held back: its reason decides; ready again when only the lease was short, accepted when it was to be
   * sent once more and the first has been shown to have arrived. Fenced. `data_at` may be
   * set by a barrier whose answer was lost. The attempt is written down in any case.
   */
  async settleHeld(
    settlements: readonly Pick<Settlement, 'id' | 'epoch' | 'durationMs' | 'relay' | 'tls'>[],
  ): Promise<void> {
    await this.dataSource.query(
      `with attempts as (
         insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome, relay, tls)
         select g.id, g.epoch, clock_timestamp() - g.duration_ms * interval '1 millisecond', clock_timestamp(), 'barrier', 'held_back', g.relay, g.tls
         from unnest($1::bigint[], $2::int[], $3::float8[], $4::text[], $5::text[]) as g (id, epoch, duration_ms, relay, tls)
         on conflict do nothing)
       update message m set lease_until = null, state = ${withoutSending('h.state')}, attempt = m.attempt - 1, data_at = null,
         state_reason = coalesce(h.why, m.state_reason),
         settled_at = case when h.state in ('suppressed', 'cancelled', 'accepted') then clock_timestamp() end,
         accepted_at = case when h.state = 'accepted' then coalesce(m.accepted_at, clock_timestamp()) else m.accepted_at end
       from (select m.id, c.epoch, ${HELD_BACK.state} as state, ${HELD_BACK.why} as why
         from unnest($1::bigint[], $2::int[]) as c (id, epoch) join message m on m.id = c.id ${MOMENT} ${PROOF}) h
       where m.id = h.id and m.lease_epoch = h.epoch and ${IS_LEASED}`,
      (['id', 'epoch', 'durationMs', 'relay', 'tls'] as const).map((column) =>
        settlements.map((settlement) => settlement[column]),
      ),
    );
  }

  /** Gives back what was claimed and not begun, as if it had not been claimed. Fenced. Returns the ids of what did go back. */
  async release(claims: readonly Claim[]): Promise<Set<string>> {
    if (claims.length === 0) return new Set();
    const [rows]: [{ id: string }[], number] = await this.dataSource.query(
      `update message m set state = 'ready', lease_owner = null, lease_until = null, attempt = attempt - 1
       from unnest($1::bigint[], $2::int[]) as c (id, epoch)
       where m.id = c.id and m.lease_epoch = c.epoch and ${IS_LEASED} and m.data_at is null returning m.id`,
      [claims.map(({ id }) => id), claims.map(({ epoch }) => epoch)],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /**
   * Gives back what claims have taken whose answers were lost, so that it is in nobody's hands; `owners`: theirs, each of one
   * claim alone. Returns the owners whose claim was found. Served by `message_lease`.
   */
  async releaseLost(owners: readonly string[]): Promise<Set<string>> {
    const [rows]: [{ owner: string }[], number] = await this.dataSource.query(
      `update message m set state = 'ready', lease_owner = null, lease_until = null, attempt = attempt - 1
       from (select id, lease_owner as owner, lease_epoch from message
         where state = 'leased' and lease_owner = any($1::text[]) and data_at is null for update) lost
       where m.id = lost.id and m.lease_epoch = lost.lease_epoch returning lost.owner`,
      [owners],
    );
    return new Set(rows.map(({ owner }) => owner));
  }

  /**
   * Called every half minute for the mails whose relay takes long to answer: whoever waits for that is not dead. Fenced.
   * By primary key.
   */
  async renew(claims: readonly Claim[]): Promise<void> {
    if (claims.length === 0) return;
    await this.dataSource.query(
      `update message m set lease_until = ${LEASE} from unnest($1::bigint[], $2::int[]) as c (id, epoch)
       where m.id = c.id and m.lease_epoch = c.epoch and ${IS_LEASED}`,
      [claims.map(({ id }) => id), claims.map(({ epoch }) => epoch)],
    );
  }

  /**
   * What a worker left behind when it died. Before the body began, the mail was not sent and goes back; after, it may
   * have been taken: a bulk mail is unknown, shown, and not sent again; a transactional one is sent once more. Its lease
   * is written down as an attempt under its epoch with a minus, so that what the worker says later finds its own place.
   * Not begun, it has used up no try. One that was left behind before may be what kills the workers: from then on each comes
   * up at a time of its own, ever later, so that the others go without it; `StaleMails` ends it after days. `begun` false, as
   * the database was away: only mails whose body was not begun, and nothing is written down. Their workers may live, which
   * have lost their locks and could not say so.
   */
  async reap({ now, begun = true }: { now: Date; begun?: boolean }): Promise<Reaped> {
    await this.dataSource.query(LEASES_OF_THE_DEAD);
    await this.shortenLeases();
    const rows: { state: string; count: number }[] = await this.dataSource.query(
      `with left_behind as (
         select id, lease_epoch, coalesce(data_at, lease_until) as at, data_at is null as unsent,
           (select least(count(*), 6)::int from message_attempt a where a.message_id = message.id and a.outcome = 'left_behind') as deaths,
           data_at is not null and class = 'transactional' and unknown_count = 0 and (${EVIDENCE('message.id')}) is null as again
         from message where state = 'leased' and lease_until < clock_timestamp()
           and (data_at is null or ($1 and data_at < clock_timestamp() - ${BODY_GRACE}))
         for update skip locked),
       reaped as (
         update message m set lease_owner = null, lease_until = null, attempt = m.attempt - l.unsent::int,
           state = case when l.unsent or l.again then 'ready' else 'unknown' end,
           due_at = case when l.unsent and l.deaths > 0
             then greatest(m.due_at, $2::timestamptz + random() * least(120, 5 * 2 ^ (l.deaths - 1)) * interval '1 minute') else m.due_at end,
           planned_for = case when l.unsent and l.deaths > 0 then coalesce(m.planned_for, m.due_at) else m.planned_for end,
           unknown_count = m.unknown_count + (not l.unsent)::int, data_at = case when l.again then null else m.data_at end,
           state_reason = case when not l.unsent then '${ENDED_IN_BODY}' when l.deaths > 0 then '${LEFT_BEHIND}' else m.state_reason end,
           settled_at = case when l.unsent or l.again then null else clock_timestamp() end,
           reply_code = case when l.unsent then m.reply_code end, reply_text = case when l.unsent then m.reply_text end
         from left_behind l where m.id = l.id returning case when l.again then 'again' else m.state end as state),
       attempts as (
         insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
         select id, -lease_epoch, at, clock_timestamp(), case when unsent then 'envelope' else 'body' end, 'left_behind'
         from left_behind where $1 on conflict do nothing)
       select state, count(*)::int as count from reaped group by state`,
      [begun, now],
    );
    const counts = Object.fromEntries(rows.map(({ state, count }) => [state, count]));
    return { returned: counts['ready'] ?? 0, unknown: counts['unknown'] ?? 0, resent: counts['again'] ?? 0 };
  }

  /**
   * Leases longer than any are of a clock that was ahead: nobody would take up their mails until then. Each gets the usual time
   * from now on, as its worker may live. Served by `message_lease`; locks what it changes, and waits for nobody.
   */
  private async shortenLeases(): Promise<void> {
    await this.dataSource.query(
      `update message m set lease_until = ${LEASE}, data_at = case when m.data_at > clock_timestamp() then clock_timestamp() else m.data_at end
       where m.id in (select id from message where state = 'leased' and lease_until > ${LEASE} + interval '1 minute' for update skip locked)`,
    );
  }

  /** The same few senders stand in every row: parsed once each. */
  private sender(text: string): ClaimedMessage['sender'] {
    const known = this.#senders.get(text);
    if (known) return known;
    const sender = JSON.parse(text) as ClaimedMessage['sender'];
    if (this.#senders.size > 1_000) this.#senders.clear();
    this.#senders.set(text, sender);
    return sender;
  }
}

/** May go. */
interface Entered {
  id: string;
  epoch: null;
  server: null;
}

/** Which run of the server has answered, and one of the mails that it has settled: an end may meet no row any more. */
type Answered = { server: string } & (Claim | Record<keyof Claim, null>);

type Reaped = Record<'returned' | 'unknown' | 'resent', number>;
type ClaimedRow = Omit<ClaimedMessage, 'sender'> & { state: string; heldFor: string | null; sender: string };

const HELD_BACK = fateSql('ready');

/**
 * Called by each look of the reaper: ends the leases of mails that workers have not begun with who are gone, as nobody holds the
 * lock of their name. One that lives and has lost its lock finds them fenced off. Served by `message_lease`.
 */
const LEASES_OF_THE_DEAD = `
with worker as materialized (
  select distinct split_part(lease_owner, '/', 1) as name from message
  where state = 'leased' and data_at is null and lease_owner like '${PRESENT}%'),
dead as materialized (select name from worker where pg_try_advisory_xact_lock(hashtextextended(name, 0)))
update message m set lease_until = clock_timestamp() - interval '1 millisecond' from dead
where m.state = 'leased' and m.data_at is null and m.lease_until > clock_timestamp()
  and split_part(m.lease_owner, '/', 1) = dead.name`;

/** Refused because of the sender, and withdrawn while that try was under way: nobody could send it any more, so nobody is asked. */
const IS_WITHDRAWN = `g.state = 'held' and m.withdrawn is not null`;
const ENDED = `(case when ${IS_WITHDRAWN} then 'cancelled' else g.state end)`;

const WRITE = `
with given as (
  select * from unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::int[], $7::text[], $8::text[],
      $9::timestamptz[], $10::int[], $11::int[], $12::text[], $13::text[], $14::float8[])
    as g (id, epoch, state, reason, due_at, code, reply, stage, accepted_at, spared, unknowns, relay, tls, duration_ms)),
settled as (
  update message m set state = ${withoutSending(ENDED)}, state_reason = case when ${IS_WITHDRAWN} then m.withdrawn else g.reason end, due_at = coalesce(g.due_at, m.due_at),
    planned_for = case when g.due_at is null then m.planned_for else coalesce(m.planned_for, m.due_at) end,
    reply_code = g.code, reply_text = case when m.address <> '${ERASED}' then g.reply end, lease_until = null, attempt = m.attempt - g.spared,
    settled_at = case when g.state = 'ready' then null else clock_timestamp() end,
    data_at = case when g.state in ('ready', 'held') then null else m.data_at end,
    accepted_at = coalesce(g.accepted_at, m.accepted_at), unknown_count = m.unknown_count + g.unknowns, relay = g.relay
  from given g where m.id = g.id and m.lease_epoch = g.epoch and m.state in ('leased', 'unknown')
  returning m.id, m.address, m.lease_epoch as epoch),
attempts as (
  insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome, reply_code, reply_text, relay, tls)
  select g.id, g.epoch, clock_timestamp() - duration_ms * interval '1 millisecond', clock_timestamp(), stage, g.state, code,
    case when s.address <> '${ERASED}' then reply end, relay, tls
  from given g left join settled s on s.id = g.id on conflict do nothing),
asked as materialized (
  select a.* from unnest($15::bigint[], $16::int[]) as b (id, epoch) cross join lateral (
    select m.id, b.epoch from message m ${MOMENT} where m.id = b.id and ${MAY_GO} and (m.class = 'transactional' or ${LEAVINGS_KNOWN}) and ${ARRIVED} is null offset 0) a
  where ${JUDGED}),
entered as (
  update message m set data_at = clock_timestamp()
  from asked a where m.id = a.id and m.lease_epoch = a.epoch and (m.data_at is null or $17::boolean)
    and ${IS_LEASED} and m.lease_until > clock_timestamp() + interval '1 second'
  returning m.id)
select id, null as epoch, null as server from entered
union all select ended.id, ended.epoch, ${SERVER} from (select 1) one left join (select id, epoch from settled limit 1) ended on true`;
