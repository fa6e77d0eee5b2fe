import { Injectable, Logger } from '@nestjs/common';
import { DataSource, QueryFailedError, type EntityManager } from 'typeorm';
import { withoutSending } from '../message/message.js';
import { WAITS_FOR_TEST } from '../message/state-reasons.js';
import { RESTORED } from '../message/overdue.js';
import type { Beat, Fence, Fingerprint, LedgerRow, LedgerToken, Unsent } from './generation.js';
import { NUMBERED_TABLES } from './numbered-tables.js';
import { TOLD, type Witness } from './witness.js';

const KEY = 'ledger.generation';
/** insufficient_privilege, feature_not_supported, undefined_function, object_not_in_prerequisite_state. */
const NOT_HERE = new Set(['42501', '0A000', '42883', '55000']);

/** In SQL: which run of the server answers. */
export const SERVER = 'extract(epoch from pg_postmaster_start_time())::text';
const DATABASE = '(select oid::text from pg_database where datname = current_database())';
/** In SQL, as `placeOf`: which run of the server answers, and which database and table in it. */
export const PLACE = `concat_ws('/', ${SERVER}, ${DATABASE}, to_regclass('setting')::oid)`;
/**
 * In SQL, of the row of the ledger: whether it was last judged here, on this run of the server, in this database and this
 * table, and is not refused. What is restored or copied says so of somewhere else, from its first statement on: the
 * server of exchanged files was started anew, and a dump makes tables anew. What a row does not say counts for it.
 */
const IS_JUDGED_HERE = `coalesce(value->'refused', 'null') = 'null'
      and coalesce(value->>'server', ${SERVER}) = ${SERVER} and coalesce(value->'fingerprint'->>'table', tableoid::text) = tableoid::text
      and coalesce(value->'fingerprint'->>'database' = ${DATABASE}, true)`;
/** In SQL: whether no worker refuses the ledger, and one has judged it since it came to be where it is. Read once a statement. */
export const JUDGED = `coalesce((select ${IS_JUDGED_HERE} from setting where key = '${KEY}'), true)`;
/**
 * In SQL: whether the server that runs the statement, and its ledger, are those that were judged; the others are parameters
 * such as `$4`. Read once a statement.
 */
export function fenceSql({ lineage, generation, counter, server }: Record<keyof Fence, string>): string {
  return `(select value->>'lineage' = ${lineage} and (value->>'generation')::int = ${generation} and (value->>'counter')::bigint >= ${counter}
      and ${SERVER} = ${server} and ${IS_JUDGED_HERE} from setting where key = '${KEY}')`;
}
/**
 * In SQL: when the owner last confirmed a ledger whose waiting mails may have gone out; null: never, or they said that
 * nothing had. What fell due before is as late as that, however late it is planned.
 */
export const RESTORED_UNTIL = `(select (value->'confirmed'->>'at')::timestamptz from setting
  where key = '${KEY}' and value->'confirmed'->>'unsent' <> 'keep')`;

const UPDATED_MS = 'extract(epoch from updated_at)::float8 * 1000';

/**
 * In SQL, beside the row `s`: whether it knows nothing of what a witness of another run of the server was told. One of an
 * earlier generation says nothing: of that the owner has said what becomes of it. By primary key, a few at each look.
 */
const MISSING = `exists (select 1
  from unnest($2::text[], $3::bigint[], $4::int[], $5::text[], $6::int[], $7::text[]) as w (what, id, epoch, lineage, generation, server)
  where w.lineage = s.value->>'lineage' and w.generation = (s.value->>'generation')::int and w.server <> ${SERVER}
    and (select case w.what when 'claimed' then m.lease_epoch >= w.epoch
        else m.lease_epoch > w.epoch or m.state <> 'leased' or (w.what = 'entered' and m.data_at is not null) end
      from message m where m.id = w.id) is not true)`;

/**
 * In SQL: lets all numbers that tables give to their rows go on from the microseconds since 1970. A link, a return path and the
 * key of a mail are a row's number and a signature, so a number that is given a second time lets the mail of one person
 * act on another. Who restores a backup twice, or goes on with two copies, moves to a higher place each time, which no
 * table has reached by then: none has a row in every microsecond. Below 2^53 until the year 2255. Where the clock was
 * set back it is a thousand million further. No session holds numbers back (cache 1), and a set value is never undone.
 * Numbers of 32 bits stay: none of them leaves the database. So does what is not ours, which may end at a lower number or be
 * kept from us, and what we may not move: either would keep the process from starting. Of ours that is `stays`.
 */
const MOVE_NUMBERS = `select own.sequence::text as sequence,
    case when has_sequence_privilege(own.sequence, 'UPDATE') then setval(own.sequence, own.next) end is null as stays from (
    select c.oid::regclass as sequence, s.max_value,
      case when s.last_value >= now.us then s.last_value + 1000000000 else now.us end as next
    from pg_sequences s join pg_class c on c.relname = s.sequencename and c.relnamespace = (select relnamespace from pg_class where oid = 'setting'::regclass),
      (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as us offset 0) now
    where s.schemaname = current_schema() and s.data_type = 'bigint'::regtype
      and exists (select 1 from pg_depend d join pg_class t on t.oid = d.refobjid
        where t.relname in ('${NUMBERED_TABLES.join(`','`)}') and d.classid = 'pg_class'::regclass and d.objid = c.oid
        and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i'))) own
  where own.next <= own.max_value`;

interface Read {
  row: LedgerRow | null;
  beat: Beat;
  actual: Fingerprint;
  hasMessages: boolean;
  missing: boolean;
}

/** The SQL of the generation guard. It is the only writer of the setting `ledger.generation`. */
@Injectable()
export class GenerationQueries {
  readonly #log = new Logger('Ledger');
  readonly #refused = new Set<string>();

  constructor(private readonly dataSource: DataSource) {}

  /**
   * Three small reads; asked at every run of delivery.send-due, and once a second while it claims. Row, server and whether
   * a witness is missing are of one statement, so of one run of the server.
   */
  async read(witnesses: readonly Witness[] = []): Promise<Read> {
    const told = witnesses.flatMap(({ lineage, generation, server, ...mails }) =>
      TOLD.flatMap((what) => {
        const mail = mails[what];
        return mail === null ? [] : [{ what, ...mail, lineage, generation, server }];
      }),
    );
    const rows: (Pick<Read, 'row' | 'hasMessages' | 'missing'> &
      Pick<Fingerprint, 'database' | 'table'> & { atMs: number | null; server: string })[] =
      await this.dataSource.query(
        `select s.value as row, ${UPDATED_MS} as "atMs", ${SERVER} as server,
           ${DATABASE} as database,
           'setting'::regclass::oid::text as table, exists (select 1 from message) as "hasMessages", ${MISSING} as missing
         from (select 1) one left join setting s on s.key = $1`,
        [
          KEY,
          ...(['what', 'id', 'epoch', 'lineage', 'generation', 'server'] as const).map((column) =>
            told.map((one) => one[column]),
          ),
        ],
      );
    const [first] = rows;
    if (first === undefined) throw new Error('the database did not answer');
    const system = await this.ifAllowed<string>(
      'select system_identifier::text as value from pg_control_system()',
    );
    // Of the WAL that is being written: the control file learns of a promotion only at the next checkpoint.
    const timeline = await this.ifAllowed<number>(
      `select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int as value`,
    );
    const { row, hasMessages, atMs, server, database, table, missing } = first;
    const beat = { atMs: atMs ?? 0, server };
    return { row, beat, hasMessages, missing, actual: { system, timeline, database, table } };
  }

  /**
   * For the first start; another worker that was faster wins. `noted` is awaited before the commit, with the row's age, and is
   * not called by the other.
   */
  async insert(
    row: LedgerRow,
    noted: (atMs: number) => Promise<unknown> = async () => undefined,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const [made]: { atMs: number }[] = await manager.query(
        `insert into setting (key, value, updated_at)
         values ($1, $2::jsonb || jsonb_build_object('server', ${SERVER}), clock_timestamp()) on conflict do nothing
         returning ${UPDATED_MS} as "atMs"`,
        [KEY, JSON.stringify(row)],
      );
      if (made !== undefined) await noted(made.atMs);
    });
  }

  /** Null when the row is not the one that was judged. Says for everybody that this run of the server is the right one. */
  async bump({ lineage, generation }: LedgerToken): Promise<{ counter: number; atMs: number } | null> {
    const [rows]: [{ counter: number; atMs: number }[], number] = await this.dataSource.query(
      `update setting set value = value - 'asked' || jsonb_build_object('counter', (value->>'counter')::bigint + 1, 'server', ${SERVER}),
         updated_at = clock_timestamp()
       where key = $1 and value->>'lineage' = $2 and (value->>'generation')::int = $3
       returning (value->>'counter')::float8 as counter, ${UPDATED_MS} as "atMs"`,
      [KEY, lineage, generation],
    );
    return rows[0] ?? null;
  }

  /** For pages and commands, which may be beside another data folder. Is no beat: the age of the row stays. */
  async ask(reason: string): Promise<void> {
    await this.dataSource.query(
      `update setting set value = value || jsonb_build_object('asked', $2::text) where key = $1`,
      [KEY, reason],
    );
  }

  /** Once for a place, by whoever comes first: the row is held until it is done. `place`: see `placeOf`. */
  async moveNumbers(place: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const [moved]: [unknown[], number] = await manager.query(
        `update setting set value = value || jsonb_build_object('moved', $2::text)
         where key = $1 and value->>'moved' is distinct from $2 returning key`,
        [KEY, place],
      );
      if (moved.length > 0) await this.moveAll(manager);
    });
  }

  private async moveAll(manager: EntityManager): Promise<void> {
    const rows: { sequence: string; stays: boolean }[] = await manager.query(MOVE_NUMBERS);
    const staying = rows.filter(({ stays }) => stays).map(({ sequence }) => sequence);
    if (staying.length === 0) return;
    this.#log.error(
      `Numbers may be given a second time, as the user of DATABASE_URL may not move them: grant update on sequence ${staying.join(', ')}`,
    );
  }

  /** Lets every worker of this database know, whatever its own data folder says. Its numbers are to be moved on. */
  async refuse(refused: NonNullable<LedgerRow['refused']>): Promise<void> {
    await this.dataSource.query(
      `update setting set value = jsonb_set(value, '{refused}', $2::jsonb) - 'moved', updated_at = clock_timestamp()
       where key = $1 and coalesce(value->'refused', 'null') = 'null'`,
      [KEY, JSON.stringify(refused)],
    );
  }

  /** The owner's word, and what it means for the mails that are there, in one transaction. */
  async confirm(
    next: LedgerRow,
    unsent: Unsent,
    work: (manager: EntityManager) => Promise<void>,
  ): Promise<{ held: number; cancelled: number; unknown: number; atMs: number }> {
    return this.dataSource.transaction(async (manager) => {
      const written: { atMs: number }[] = await manager.query(
        `insert into setting (key, value, updated_at)
         values ($1, $2::jsonb || jsonb_build_object('server', ${SERVER}), clock_timestamp())
         on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at
         returning ${UPDATED_MS} as "atMs"`,
        [KEY, JSON.stringify(next)],
      );
      const atMs = written[0]?.atMs ?? 0;
      await work(manager);
      // Whatever was seen before: a backup of a database that was refused already has its numbers from before.
      await this.moveAll(manager);
      // Kept: what was on its way is for the reaper, which knows what a lost lease means.
      if (unsent === 'keep') return { held: 0, cancelled: 0, unknown: 0, atMs };
      const [, unknown]: [unknown[], number] = await manager.query(
        `update message set state = 'unknown', state_reason = $1, lease_until = null, settled_at = clock_timestamp()
         where state = 'leased'`,
        [RESTORED],
      );
      if (unsent === 'hold') await this.holdTests(manager, next.confirmed?.at ?? null);
      // Those among them that a pause, an outage or a refusal holds: it may have ended since the backup, and they went out.
      const [, changed]: [unknown[], number] = await manager.query(
        unsent === 'hold'
          ? `update message set state = 'held', state_reason = $1
             where state = 'ready' or (state = 'held' and state_reason is distinct from '${WAITS_FOR_TEST}')`
          : `update message m set state = ${withoutSending(`'cancelled'`)}, state_reason = $1, settled_at = clock_timestamp()
             where state in ('ready', 'held')`,
        [RESTORED],
      );
      const [held, cancelled] = unsent === 'hold' ? [changed, 0] : [0, changed];
      return { held, cancelled, unknown, atMs };
    });
  }

  /** They have no words yet, so they wait for their test; then the claim holds them for the owner, as due before `at`. */
  private async holdTests(manager: EntityManager, at: string | null): Promise<void> {
    await manager.query(
      `update message set planned_for = $1::timestamptz - interval '1 millisecond' where state = 'held' and state_reason = $2`,
      [at, WAITS_FOR_TEST],
    );
  }

  /** Managed databases do not let everybody read these; then the rest of the fingerprint has to do. */
  private async ifAllowed<T>(sql: string): Promise<T | null> {
    if (this.#refused.has(sql)) return null;
    try {
      const rows: { value: T }[] = await this.dataSource.query(sql);
      return rows[0]?.value ?? null;
    } catch (error) {
      const code = error instanceof QueryFailedError ? String(Reflect.get(error.driverError, 'code')) : '';
      if (!NOT_HERE.has(code)) throw error;
      this.#refused.add(sql);
      return null;
    }
  }
}
