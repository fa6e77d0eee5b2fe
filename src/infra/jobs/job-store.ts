import type { JobRepository } from 'agenda';

/** Name of the table and of the collection. Nothing but ticks is kept in it: it may be dropped while stopped. */
export const JOB_TABLE = 'agenda_jobs';

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
   * Closes the connections, then gives back the locks which `owner` took for runs that it never began. Without
   * that the job would stand still for one lock life after each restart. Locks of begun runs stay: they protect
   * work that may still be under way.
   */
  close(owner: string): Promise<void>;
}
