import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { JobContext } from '../infra/jobs/job.js';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { BroadcastLastLook } from './broadcast-last-look.service.js';
import { BroadcastPlanner } from './broadcast-planner.service.js';
import { PLAN_BROADCASTS } from './broadcasts.service.js';

@Injectable()
export class BroadcastsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly planner: BroadcastPlanner,
    private readonly lastLook: BroadcastLastLook,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: PLAN_BROADCASTS,
      everySeconds: 5,
      lockSeconds: 600,
      run: async (context) => this.plan(context),
    });
  }

  /** The DNS may be slow to answer: only those that it is asked about wait for it. */
  private async plan(context: JobContext): Promise<void> {
    const looks = new Map<string, Promise<void>>();
    // One that comes due meanwhile has had no look yet: it waits for the next run.
    const looked = new Set<string>();
    const look = async (id: string): Promise<void> => {
      await Promise.all([this.lastLook.look(id), this.lastLook.lookUpAudience(id)]);
      looked.add(id);
      looks.delete(id);
    };
    for (const id of await this.lastLook.due()) looks.set(id, look(id));
    for (;;) {
      const { size } = looks;
      await this.planner.run({ ...context, mayBegin: (id) => looked.has(id) });
      if (size === 0) return;
      if (looks.size > 0) await Promise.race(looks.values());
    }
  }
}
