import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { uncountedRefusals } from '../delivery/ledger/message-evidence.queries.js';
import type { JobContext } from '../infra/jobs/job.js';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { BounceImap } from './bounce-imap.service.js';
import { BouncesService } from './bounces.service.js';
import { RatesWatch } from './rates-watch.service.js';
import { RefusingMailboxes } from './refusing-mailboxes.service.js';

const BATCH = 200;

/** What has to be counted again and again, because no single mail tells it. */
@Injectable()
export class BouncesJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly dataSource: DataSource,
    private readonly bounces: BouncesService,
    private readonly watch: RatesWatch,
    private readonly imap: BounceImap,
    private readonly refusing: RefusingMailboxes,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'bounces.take-refusals',
      everySeconds: 5,
      lockSeconds: 600,
      run: async (context) => this.takeRefusals(context),
    });
    this.registry.add({
      name: 'bounces.read-mailbox',
      everySeconds: 60,
      lockSeconds: 1_200,
      run: async (context) => {
        await this.imap.readNew(context);
      },
    });
    this.registry.add({
      name: 'bounces.watch-rates',
      everySeconds: 120,
      lockSeconds: 600,
      run: async () => this.watch.look(),
    });
    this.registry.add({
      name: 'bounces.end-refusing',
      everySeconds: 3_600,
      lockSeconds: 1_200,
      run: async ({ signal }) => this.refusing.look(signal),
    });
  }

  private async takeRefusals({ signal }: JobContext): Promise<void> {
    while (!signal.aborted) {
      const refusals = await uncountedRefusals(this.dataSource.manager, BATCH);
      for (const refusal of refusals) {
        if (signal.aborted) return;
        await this.bounces.takeRefusal(refusal);
      }
      if (refusals.length < BATCH) return;
    }
  }
}
