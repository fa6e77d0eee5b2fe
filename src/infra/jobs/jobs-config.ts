/** Injection token of {@link JobsConfig}. */
export const JOBS_CONFIG = Symbol('JobsConfig');

/** Injection token of the pino logger that jobs, scheduler and wake-up write to. */
export const JOBS_LOGGER = Symbol('JobsLogger');

export interface JobsConfig {
  /** Keeps the ticks in MongoDB; `null` keeps them in the application's PostgreSQL. */
  mongoUri: string | null;
  /** The application's PostgreSQL: wake-ups always go through it. */
  databaseUrl: string;
  /** Milliseconds between two looks at the job store; the shortest period a job can really have. Default 2000. */
  tickMs?: number;
}
