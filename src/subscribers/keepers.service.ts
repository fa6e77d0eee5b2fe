import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { HOUR_MS, MINUTE_MS } from '../values/time-units.js';

/** So long a word holds, by the database's clock. Shorter than a few looks, and any busy moment would keep mails back. */
export const WORD_MS = 4_000;
/** So long mails wait for a process that says nothing: it may be gone for good, and would end all mail. */
export const HOLD_MS = HOUR_MS;
/** The owner has known for that long that it is gone. */
const FORGOTTEN_AFTER = `interval '7 days'`;
/** Between two looks of a worker; a longer one was no time in which any could send. */
const LOOK_MS = 5_000;

/** In SQL, of a keeper `k`. A word for longer than any holds was given before the database's clock was set back: it says nothing of now. */
const IS_GOOD = `(k.good_until > clock_timestamp() and k.good_until <= clock_timestamp() + interval '${WORD_MS} milliseconds')`;

/**
 * In SQL, read once a statement: whether all that were told by a process of ours that they are off the list are known here.
 * Else nothing of a list may go. One that stays silent is waited for for an hour, in which workers could have sent.
 */
export const LEAVINGS_KNOWN = `coalesce((select bool_and(${IS_GOOD} or k.held_ms >= ${HOLD_MS}) from leavings_keeper k), true)`;

/** One that is started again is back by then. */
const TELL_AFTER_MS = MINUTE_MS;

/** One that has said nothing for a while. */
export interface SilentKeeper {
  place: string;
  /** When mails go on without it; null: they do. */
  until: Date | null;
}

/**
 * The word of each process that keeps leavings on disk: all it has kept is in the database. It holds for seconds. Whoever leaves while
 * the database is away is told so only once the last word before has run out, and by then the barrier of every worker,
 * on whichever machine, lets nothing of a list pass until there is a new one. So it needs no worker that has seen the outage,
 * and none that shares a folder.
 */
@Injectable()
export class Keepers {
  readonly #process = randomUUID();

  constructor(private readonly dataSource: DataSource) {}

  /** Before the look that a word is about: what comes after it is not in it. */
  async now(): Promise<Date> {
    const [row]: { ms: number }[] = await this.dataSource.query(
      'select floor(extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
    );
    if (row === undefined) throw new Error('the database did not answer');
    return new Date(row.ms);
  }

  /** This process is waited for from now on; has it said nothing, its folder has no name yet. */
  async appear(path: string): Promise<void> {
    await this.dataSource.query(
      `insert into leavings_keeper (process, folder, place, good_until) values ($1, $2, $3, clock_timestamp())
       on conflict (process) do nothing`,
      [this.#process, this.#process, placeOf(path)],
    );
  }

  /**
   * All that lay in the folder at `at`, and all that this process has kept, is in the database. `folder`: the name that lies in it,
   * which a new container, or one on another machine, finds there; an empty mount point has another. Null: it has never been able to
   * read it, keeps nothing there, and speaks for nobody else.
   */
  async say(folder: string | null, path: string, at: Date): Promise<void> {
    await this.dataSource.query(
      `insert into leavings_keeper (process, folder, place, good_until)
       values ($1, $2, $3, $4::timestamptz + $5 * interval '1 millisecond')
       on conflict (process) do update set folder = excluded.folder, place = excluded.place, good_until = excluded.good_until,
         held_ms = 0, held_at = null`,
      [this.#process, folder ?? this.#process, placeOf(path), at, WORD_MS],
    );
    if (folder !== null) await this.succeed(folder, at);
  }

  /** What those before it have kept in that folder was there at `at`, and is in the database. */
  async succeed(folder: string, at: Date): Promise<void> {
    await this.dataSource.query(
      'delete from leavings_keeper where folder = $1 and process <> $2 and good_until < $3',
      [folder, this.#process, at],
    );
  }

  /** Keeps nothing more, and nothing that is not in the database. */
  async end(): Promise<void> {
    await this.dataSource.query('delete from leavings_keeper where process = $1', [this.#process]);
  }

  /**
   * Called by each worker every two seconds, also while it sends: receipts alone may keep a run going for minutes. Mails have waited for
   * the time since the last look; for none where the clock was set back since. Answers as `silent`.
   */
  async wait(now: Date): Promise<SilentKeeper[]> {
    const [rows]: [unknown[], number] = await this.dataSource.query(
      `update leavings_keeper k set held_at = clock_timestamp(), good_until = least(good_until, clock_timestamp()),
         held_ms = held_ms + greatest(0, least($1, extract(epoch from clock_timestamp() - coalesce(held_at, clock_timestamp())) * 1000))
       where not ${IS_GOOD} returning place`,
      [LOOK_MS],
    );
    if (rows.length === 0) return [];
    await this.dataSource.query(
      `delete from leavings_keeper where held_ms >= $1 and good_until < clock_timestamp() - ${FORGOTTEN_AFTER}`,
      [HOLD_MS],
    );
    return this.silent(now);
  }

  /** Those that the owner is told of. */
  async silent(now: Date): Promise<SilentKeeper[]> {
    return silentKeepers(this.dataSource.manager, now);
  }

  /** By the owner's word they are gone for good: mails wait for them no longer. One that lives is waited for again from its next word on. */
  async forgetSilent(): Promise<number> {
    const [, count]: [unknown[], number] = await this.dataSource.query(
      `delete from leavings_keeper k where not ${IS_GOOD} and held_ms >= $1`,
      [TELL_AFTER_MS],
    );
    return count;
  }
}

/** As `Keepers.silent`. */
export async function silentKeepers(db: EntityManager, now: Date): Promise<SilentKeeper[]> {
  const rows: { place: string; heldMs: number }[] = await db.query(
    `select place, held_ms as "heldMs" from leavings_keeper k where not ${IS_GOOD} and held_ms >= $1 order by held_ms, place`,
    [TELL_AFTER_MS],
  );
  return rows.map(({ place, heldMs }) => ({
    place,
    until: heldMs < HOLD_MS ? new Date(now.getTime() + HOLD_MS - heldMs) : null,
  }));
}

/** For people. */
function placeOf(path: string): string {
  return `${hostname()}:${path}`;
}
