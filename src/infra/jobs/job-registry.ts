import { Injectable } from '@nestjs/common';
import type { Job } from './job.js';

/** The longest period and lock, one day: timers above 2^31 ms fire at once. */
const MAX_SECONDS = 86_400;

/** Every recurring job of the application. Modules add theirs in `onModuleInit`, before `Scheduler.start`. */
@Injectable()
export class JobRegistry {
  readonly #jobs = new Map<string, Job>();
  #closed = false;

  /**
   * @throws Error for a second job of the same name, a name not of the form `module.verb-noun` (or `module.verb`), a period or lock
   * out of range, or a job that comes after the scheduler has started (it would never run).
   */
  add(job: Job): void {
    if (this.#closed) throw new Error(`job ${job.name} was added after the scheduler had started`);
    if (this.#jobs.has(job.name)) throw new Error(`two jobs are called ${job.name}`);
    if (!/^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$/.test(job.name)) {
      throw new Error(`job name ${job.name} is not of the form module.verb or module.verb-noun`);
    }
    for (const field of ['everySeconds', 'lockSeconds'] as const) {
      if (!(job[field] > 0 && job[field] <= MAX_SECONDS)) {
        throw new Error(`${field} of job ${job.name} must be more than 0 and at most ${MAX_SECONDS}`);
      }
    }
    this.#jobs.set(job.name, job);
  }

  get(name: string): Job | undefined {
    return this.#jobs.get(name);
  }

  all(): Job[] {
    return [...this.#jobs.values()];
  }

  /** Called by the scheduler: from here on a new job is a mistake. */
  close(): void {
    this.#closed = true;
  }
}
