import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { OrdersService } from './orders.service.js';

@Injectable()
export class OrdersJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly orders: OrdersService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'orders.forget-marks',
      everySeconds: 3_600,
      lockSeconds: 600,
      run: async () => this.orders.forgetOldMarks(),
    });
  }
}
