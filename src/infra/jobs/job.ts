/** What a run is given. */
export interface JobContext {
  /**
   * Epoch milliseconds of the injected `Clock` at which the run must have stopped. It lies well below the lock's
   * end, because Agenda starts a job again, even in the same process, once its lock has run out.
   */
  deadline: number;
  /** Aborted at the deadline and when the process shuts down: finish the batch in hand and return. */
  signal: AbortSignal;
}

/**
 * Recurring work. A tick or a wake-up says "look for due rows", never which ones: what is due stands in the
 * module's own tables, so a lost tick loses nothing.
 */
export interface Job {
  /** `module.verb-noun`, unique in the application, for example `delivery.send-messages`. */
  name: string;
  /** Seconds between two ticks. No row waits for a tick if its writer calls `Wake.notify`. */
  everySeconds: number;
  /**
   * The longest time in seconds for which one run keeps other processes' ticks away; a process that dies keeps them
   * away for half a minute. At least ten times the longest run to be expected: a run that outlives it is started a
   * second time. A run is told to stop at 40 % of it.
   */
  lockSeconds: number;
  /** Safe to run twice at once, in one process or in several. A rejection is logged; the next tick runs it again. */
  run(context: JobContext): Promise<void>;
}
