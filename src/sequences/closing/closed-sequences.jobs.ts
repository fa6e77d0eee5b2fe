import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { ClosedSequences, END_CLOSED } from './closed-sequences.service.js';

@Injectable()
export class ClosedSequencesJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly closed: ClosedSequences,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: END_CLOSED,
      everySeconds: 60,
      lockSeconds: 600,
      run: async ({ signal }) => this.closed.endPeople(signal),
    });
  }
}
