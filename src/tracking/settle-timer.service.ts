import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { JobRunner } from '../infra/jobs/job-runner.js';
import { SETTLE_MS } from './burst.js';
import { SETTLE_CLICKS } from './verdicts.service.js';

const TOGETHER_MS = 500;

/** Has clicks settled when their moment has passed. The job's own tick does it too; this saves the wait for that. */
@Injectable()
export class SettleTimer implements OnApplicationShutdown {
  readonly #timers = new Set<NodeJS.Timeout>();
  #armedMs = -Infinity;

  constructor(private readonly runner: JobRunner) {}

  /** Clicks that wait were stored just now. One timer stands for the clicks of a while. */
  arm(): void {
    const nowMs = performance.now();
    if (nowMs - this.#armedMs < TOGETHER_MS) return;
    this.#armedMs = nowMs;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.runner.run(SETTLE_CLICKS);
    }, SETTLE_MS + TOGETHER_MS);
    timer.unref();
    this.#timers.add(timer);
  }

  onApplicationShutdown(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
