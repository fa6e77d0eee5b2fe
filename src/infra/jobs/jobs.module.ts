import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { JobRegistry } from './job-registry.js';
import { JobRunner } from './job-runner.js';
import { JOBS_CONFIG, JOBS_LOGGER } from './jobs-config.js';
import type { JobsConfig } from './jobs-config.js';
import { Scheduler } from './scheduler.js';
import { Wake } from './wake.js';

/**
 * Recurring jobs and their wake-up, for every module. Needs a global provider of `CLOCK`. Nothing starts by itself:
 * `main` of a worker process calls `Scheduler.start` and `Wake.listen`, and at its end `Wake.close` and
 * `Scheduler.drain`.
 */
@Module({})
export class JobsModule {
  /** @param logger by default one that writes JSON lines of level `warn` and above to standard output. */
  static forRoot(config: JobsConfig, logger: Logger = pino({ level: 'warn' })): DynamicModule {
    return {
      module: JobsModule,
      global: true,
      providers: [
        { provide: JOBS_CONFIG, useValue: config },
        { provide: JOBS_LOGGER, useValue: logger },
        JobRegistry,
        JobRunner,
        Scheduler,
        Wake,
      ],
      exports: [JobRegistry, JobRunner, Scheduler, Wake],
    };
  }
}
