import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { SEND_DUE } from './ledger/send-due.js';
import { LeaversMails } from './sending/leavers-mails.service.js';
import { Reaper } from './sending/reaper.service.js';
import { SenderService } from './sending/sender.service.js';
import { MailFlaws } from './mails/mail-flaws.service.js';
import { UnmadeMails } from './mails/unmade-mails.service.js';

@Injectable()
export class DeliveryJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly leavers: LeaversMails,
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
      // Who has left and waits was told that no more mails come.
      run: async ({ deadline, signal }) =>
        this.leavers.sendBeside(signal, async (each) => this.sender.sendDue({ deadline, signal: each })),
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
