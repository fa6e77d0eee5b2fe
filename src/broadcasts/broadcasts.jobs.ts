import { Injectable, type OnModuleInit } from '@nestjs/common';
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
      run: async (context) => {
        await this.lastLook.run();
        await this.planner.run(context);
      },
    });
  }
}
