import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { EnrollmentsQueries } from './enrollments.queries.js';
import { EnrollmentsService } from './enrollments.service.js';
import { SequencesController } from './sequences.controller.js';
import { SequencesJobs } from './sequences.jobs.js';
import { SequencesService } from './sequences.service.js';

/**
 * Which step is due for whom. Owns `sequence`, `sequence_version`, `enrollment` and its records. It plans messages and
 * never sends them.
 */
@Module({
  imports: [DeliveryModule],
  controllers: [SequencesController],
  providers: [SequencesService, EnrollmentsService, EnrollmentsQueries, SequencesJobs],
  exports: [SequencesService, EnrollmentsService],
})
export class SequencesModule {}
