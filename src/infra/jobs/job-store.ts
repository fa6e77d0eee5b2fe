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
   * Closes the connections, then gives back the locks which `owner` took for runs that it never began. Without
   * that the job would stand still for one lock life after each restart. Locks of begun runs stay: they protect
   * work that may still be under way.
   */
  close(owner: string): Promise<void>;
}
