import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { AlertMails } from './alert-mails.service.js';

@Injectable()
export class AlertsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly mails: AlertMails,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'admin.mail-alerts',
      everySeconds: 60,
      lockSeconds: 600,
      run: async () => this.mails.sendWaiting(),
    });
  }
}
