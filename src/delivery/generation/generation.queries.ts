import { Injectable } from '@nestjs/common';
import { DataSource, QueryFailedError, type EntityManager } from 'typeorm';
import { withoutSending } from '../message.js';
import { RESTORED } from '../pacing/overdue.js';
import type { Fingerprint, LedgerRow, LedgerToken, Unsent } from './generation.js';

const KEY = 'ledger.generation';
/** insufficient_privilege, feature_not_supported, undefined_function, object_not_in_prerequisite_state. */
const NOT_HERE = new Set(['42501', '0A000', '42883', '55000']);

/** The SQL of the generation guard. It is the only writer of the setting `ledger.generation`. */
@Injectable()
export class GenerationQueries {
  readonly #refused = new Set<string>();

  constructor(private readonly dataSource: DataSource) {}

  /** Three small reads; asked at every run of delivery.send-due. */
  async read(): Promise<{ row: LedgerRow | null; actual: Fingerprint; hasMessages: boolean }> {
    const rows: { row: LedgerRow | null; database: string; table: string; hasMessages: boolean }[] =
      await this.dataSource.query(
        `select (select value from setting where key = $1) as row,
           (select oid::text from pg_database where datname = current_database()) as database,
           'setting'::regclass::oid::text as table, exists (select 1 from message) as "hasMessages"`,
        [KEY],
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
    const { row, database, table, hasMessages } = first;
    return { row, actual: { system, timeline, database, table }, hasMessages };
  }

  /** For the first start; another worker that was faster wins. */
  async insert(row: LedgerRow): Promise<void> {
    await this.dataSource.query(
      `insert into setting (key, value, updated_at) values ($1, $2, clock_timestamp()) on conflict do nothing`,
      [KEY, JSON.stringify(row)],
    );
  }

  /** Null when the row is not the one that was judged. */
  async bump({ lineage, generation }: LedgerToken): Promise<number | null> {
    const [rows]: [{ counter: number }[], number] = await this.dataSource.query(
      `update setting set value = jsonb_set(value, '{counter}', to_jsonb((value->>'counter')::bigint + 1)), updated_at = clock_timestamp()
       where key = $1 and value->>'lineage' = $2 and (value->>'generation')::int = $3
       returning (value->>'counter')::float8 as counter`,
      [KEY, lineage, generation],
    );
    return rows[0]?.counter ?? null;
  }

  /** Lets every worker of this database know, whatever its own data folder says. */
  async refuse(refused: NonNullable<LedgerRow['refused']>): Promise<void> {
    await this.dataSource.query(
      `update setting set value = jsonb_set(value, '{refused}', $2::jsonb), updated_at = clock_timestamp()
       where key = $1 and coalesce(value->'refused', 'null') = 'null'`,
      [KEY, JSON.stringify(refused)],
    );
  }

  /** The owner's word, and what it means for the mails that are there, in one transaction. */
  async confirm(
    next: LedgerRow,
    unsent: Unsent,
    work: (manager: EntityManager) => Promise<void>,
  ): Promise<{ held: number; cancelled: number; unknown: number }> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query(
        `insert into setting (key, value, updated_at) values ($1, $2, clock_timestamp())
         on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at`,
        [KEY, JSON.stringify(next)],
      );
      await work(manager);
      // Kept: what was on its way is for the reaper, which knows what a lost lease means.
      if (unsent === 'keep') return { held: 0, cancelled: 0, unknown: 0 };
      const [, unknown]: [unknown[], number] = await manager.query(
        `update message set state = 'unknown', state_reason = $1, lease_until = null, settled_at = clock_timestamp()
         where state in ('leased', 'in_data')`,
        [RESTORED],
      );
      const [, changed]: [unknown[], number] = await manager.query(
        unsent === 'hold'
          ? `update message set state = 'held', state_reason = $1 where state = 'ready'`
          : `update message m set state = ${withoutSending(`'cancelled'`)}, state_reason = $1, settled_at = clock_timestamp() where state = 'ready'`,
        [RESTORED],
      );
      return { held: unsent === 'hold' ? changed : 0, cancelled: unsent === 'cancel' ? changed : 0, unknown };
    });
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
