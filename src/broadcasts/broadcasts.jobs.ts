import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { JobContext } from '../infra/jobs/job.js';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { BroadcastLastLook } from './broadcast-last-look.service.js';
import { BroadcastPlanner } from './broadcast-planner.service.js';
import { PLAN_BROADCASTS } from './broadcasts.service.js';

const EVERY_SECONDS = 5;
/** All else waits for a broadcast that is being planned: after this time it is looked anew at what is due. */
const PLANNING_MS = 240_000;

@Injectable()
export class BroadcastsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly planner: BroadcastPlanner,
    private readonly lastLook: BroadcastLastLook,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: PLAN_BROADCASTS,
      everySeconds: EVERY_SECONDS,
      // For what readers have to be tried, which takes minutes; the rest has a bound of its own.
      lockSeconds: 1_800,
      run: async (context) => this.plan(context),
    });
  }

  /** The DNS may be slow to answer, and a million readers take minutes to be tried: only those that are looked at wait for it. */
  private async plan(context: JobContext): Promise<void> {
    const { signal } = context;
    const looks = new Map<string, Promise<void>>();
    const looked = new Set<string>();
    const look = async (id: string): Promise<void> => {
      const { lastLook } = this;
      await Promise.all([lastLook.look(id), lastLook.lookUpAudience(id), lastLook.tryValues(id, signal)]);
      looks.delete(id);
      if (!signal.aborted) looked.add(id);
    };
    for (;;) {
      for (const id of await this.lastLook.due())
        if (!looked.has(id) && !looks.has(id)) looks.set(id, look(id));
      const { size } = looks;
      const deadline = Math.min(context.deadline, this.clock.now().getTime() + PLANNING_MS);
      await this.planner.run({ deadline, signal, mayBegin: (id) => looked.has(id) });
      if (size === 0 || signal.aborted) return;
      if (looks.size > 0) await Promise.race([...looks.values(), soon(signal)]);
    }
  }
}

/** Others are planned meanwhile, as often as ever. */
async function soon(signal: AbortSignal): Promise<void> {
  await sleep(EVERY_SECONDS * 1000, undefined, { signal, ref: false }).catch(() => undefined);
}
