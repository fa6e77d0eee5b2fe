import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { AcceptedJournal } from './accepted-journal.service.js';
import { LedgerQueries } from './ledger.queries.js';
import { SEND_DUE } from './messages.service.js';
import { ParkedLanes } from './parked-lanes.service.js';
import { SenderService } from './sender.service.js';
import { UnmadeMails } from './unmade-mails.service.js';

@Injectable()
export class DeliveryJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly sender: SenderService,
    private readonly ledger: LedgerQueries,
    private readonly journal: AcceptedJournal,
    private readonly unmade: UnmadeMails,
    private readonly parked: ParkedLanes,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: SEND_DUE,
      everySeconds: 2,
      lockSeconds: 600,
      run: async (context) => {
        await this.sender.sendDue(context);
      },
    });
    this.registry.add({
      name: 'delivery.reap',
      everySeconds: 30,
      lockSeconds: 600,
      run: async () => {
        await this.journal.replay();
        // A process that stood still for minutes is still waiting for its slow relays: their mails are not left behind,
        // and nobody's are taken while it cannot say so.
        await this.parked.renew();
        await this.ledger.reap();
        await this.ledger.resolveUnknown();
        await this.unmade.closeOld();
      },
    });
  }
}
