import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { MessagesService } from '../planning/messages.service.js';

@Injectable()
export class ApiMailsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly messages: MessagesService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'delivery.forget-data',
      everySeconds: 3_600,
      lockSeconds: 600,
      run: async () => this.messages.forgetOldData(),
    });
  }
}
