import { setInterval as every } from 'node:timers';
import { readConfig } from '../../config/env.js';
import { openCommandContext } from '../../src/application.js';
import { BroadcastPlanner } from '../../src/broadcasts/broadcast-planner.service.js';
import { EnrollmentsService } from '../../src/sequences/enrollments/enrollments.service.js';
import { SECRET_KEY } from '../support/worker-process.js';

/** A worker that only plans, so that what it takes is not mixed with what sending takes. */
export interface PlanningTask {
  databaseUrl: string;
  dataDir: string;
  what: 'steps' | 'broadcast';
}

export interface PlanningResult {
  seconds: number;
  cpuSeconds: number;
  /** Resident memory before the first row; planning adds what is between the two. */
  startMb: number;
  peakMb: number;
}

const LOOK_AT_MEMORY_EVERY_MS = 20;
const FOREVER = { deadline: Number.POSITIVE_INFINITY, signal: new AbortController().signal };

process.on('message', (task: PlanningTask) => {
  run(task).then(
    (result) => process.send?.(result, () => process.exit(0)),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});

async function run({ databaseUrl, dataDir, what }: PlanningTask): Promise<PlanningResult> {
  const env = readConfig({
    DATABASE_URL: databaseUrl,
    DATA_DIR: dataDir,
    SMTP_URL: 'smtp://127.0.0.1:9',
    SECRET_KEY,
    DEMO: 'false',
  });
  const { app } = await openCommandContext(env, () => undefined);
  const [enrollments, planner] = [
    app.get(EnrollmentsService, { strict: false }),
    app.get(BroadcastPlanner, { strict: false }),
  ];
  let peak = 0;
  const look = (): void => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  every(look, LOOK_AT_MEMORY_EVERY_MS).unref();
  look();
  const startMb = peak / 2 ** 20;
  const [startedMs, before] = [performance.now(), process.cpuUsage()];
  await (what === 'steps' ? enrollments.advanceAllDue(FOREVER) : planner.run(FOREVER));
  const { user, system } = process.cpuUsage(before);
  look();
  return {
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: (user + system) / 1e6,
    startMb,
    peakMb: peak / 2 ** 20,
  };
}
