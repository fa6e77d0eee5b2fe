import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { FieldBlocksService } from './field-blocks.service.js';

@Injectable()
export class FieldBlocksJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly blocks: FieldBlocksService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'segments.renew-blocks',
      everySeconds: 10,
      lockSeconds: 300,
      run: async ({ signal }) => this.blocks.renew(signal),
    });
  }
}
