import { Module } from '@nestjs/common';
import { AlertsModule } from '../../infra/alerts/alerts.module.js';
import { GenerationGuard } from './generation-guard.service.js';
import { GenerationQueries } from './generation.queries.js';
import { LedgerNoteFile } from './ledger-note.service.js';
import { MailboxFirst } from './mailbox-first.service.js';
import { RestoreWatch } from './restore-watch.service.js';
import { WitnessFiles } from './witness-files.service.js';

/** Whether the ledger is the one this installation last wrote to, and no older copy of it. Owns the setting `ledger.generation`. */
@Module({
  imports: [AlertsModule],
  providers: [GenerationGuard, GenerationQueries, LedgerNoteFile, MailboxFirst, RestoreWatch, WitnessFiles],
  exports: [GenerationGuard, RestoreWatch, WitnessFiles],
})
export class GenerationModule {}
