import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { AwaitedMails } from './awaited-mails.service.js';

@Injectable()
export class AwaitedMailsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly awaited: AwaitedMails,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'delivery.watch-awaited',
      everySeconds: 60,
      lockSeconds: 300,
      run: async () => {
        await this.awaited.look();
      },
    });
  }
}
