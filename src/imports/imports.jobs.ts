import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { ExportsService } from './exports.service.js';
import { ImportsService, RUN_IMPORTS } from './imports.service.js';

@Injectable()
export class ImportsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly imports: ImportsService,
    private readonly exports: ExportsService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: RUN_IMPORTS,
      everySeconds: 30,
      lockSeconds: 3_600,
      run: async ({ signal }) => this.imports.runOpen(signal),
    });
    this.registry.add({
      name: 'imports.clean',
      everySeconds: 3_600,
      lockSeconds: 600,
      run: async () => {
        await this.imports.clean();
        await this.exports.endTold();
      },
    });
  }
}
