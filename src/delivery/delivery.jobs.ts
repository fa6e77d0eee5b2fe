import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { SEND_DUE } from './ledger/send-due.js';
import { BeforeSending } from './sending/before-sending.service.js';
import { Reaper } from './sending/reaper.service.js';
import { SenderService } from './sending/sender.service.js';
import { MailFlaws } from './mails/mail-flaws.service.js';
import { UnmadeMails } from './mails/unmade-mails.service.js';

@Injectable()
export class DeliveryJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly before: BeforeSending,
    private readonly sender: SenderService,
    private readonly reaper: Reaper,
    private readonly unmade: UnmadeMails,
    private readonly flaws: MailFlaws,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: SEND_DUE,
      everySeconds: 2,
      lockSeconds: 600,
      run: async ({ deadline, signal }) => {
        await this.before.look();
        await this.sender.sendDue({ deadline, signal });
      },
    });
    this.registry.add({
      name: 'delivery.await-keepers',
      everySeconds: 2,
      lockSeconds: 60,
      run: async () => this.before.awaitKeepers(),
    });
    this.registry.add({
      name: 'delivery.reap',
      everySeconds: 30,
      lockSeconds: 600,
      run: async () => {
        await this.reaper.run();
        await this.unmade.tellOfPaused();
        await this.unmade.closeOld();
        await this.flaws.closeOld();
      },
    });
  }
}
