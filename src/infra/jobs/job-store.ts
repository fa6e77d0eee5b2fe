import type { JobRepository } from 'agenda';

/** Name of the table and of the collection. Nothing but ticks is kept in it: it may be dropped while stopped. */
export const JOB_TABLE = 'agenda_jobs';

/** How far apart the clocks of two hosts may be before one of them counts as wrong. */
export const CLOCK_TOLERANCE_MS = 60_000;

/** Where Agenda keeps its one row per job name. */
export interface JobStore {
  readonly name: string;
  /** Only after `open`. */
  readonly repository: JobRepository;
  /**
   * Connects, creates what is missing, and leaves at most one row per name behind a unique key, however many
   * processes open the store at the same moment. Rejects when the store cannot be reached or used.
   */
  open(): Promise<void>;
  /**
   * Leaves one row of this name with this period, due at once if it is new. A row that fits is not touched: it may
   * be locked by another process, and `Agenda.every` clears that lock on MongoDB. A row with another period is
   * replaced, because it keeps its next run, which may be a whole old period away. Safe to call at once everywhere.
   */
  putRow(name: string, everyMs: number): Promise<void>;
  /**
   * Makes due what a host whose clock is wrong has put off: rows that are locked, or run next, later than `now` and
   * their period allow. A minute is granted, for clocks differ. Answers with the number of such rows.
   */
  forgetFuture(now: Date): Promise<number>;
  /**
   * Closes the connections, then gives back the locks which `owner` took for runs that it never began. Without
   * that the job would stand still for one lock life after each restart. Locks of begun runs stay: they protect
   * work that may still be under way.
   */
  close(owner: string): Promise<void>;
}
