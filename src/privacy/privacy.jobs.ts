import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { AddressRequests } from './address-requests.service.js';
import { DataRequestService } from './data-request.service.js';
import { PausesService } from './pauses.service.js';
import { TopicChoicesService } from './topic-choices.service.js';
import { TrackingChoiceService } from './tracking-choice.service.js';

@Injectable()
export class PrivacyJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly pauses: PausesService,
    private readonly requests: DataRequestService,
    private readonly tracking: TrackingChoiceService,
    private readonly topics: TopicChoicesService,
    private readonly addresses: AddressRequests,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'privacy.end-pauses',
      everySeconds: 60,
      lockSeconds: 600,
      run: async () => this.pauses.endDue(),
    });
    this.registry.add({
      name: 'privacy.forget-seen',
      everySeconds: 60,
      lockSeconds: 600,
      run: async ({ signal }) => this.tracking.forgetDeclined(signal),
    });
    this.registry.add({
      name: 'privacy.leave-topics',
      everySeconds: 60,
      lockSeconds: 600,
      run: async ({ signal }) => this.topics.leaveImported(signal),
    });
    this.registry.add({
      name: 'privacy.end-alerts',
      everySeconds: 3_600,
      lockSeconds: 600,
      run: async () => this.requests.endAnswered(),
    });
    this.registry.add({
      name: 'privacy.forget-asked-addresses',
      everySeconds: 3_600,
      lockSeconds: 600,
      run: async () => this.addresses.forgetUnanswered(),
    });
  }
}
