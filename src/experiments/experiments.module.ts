import { Module } from '@nestjs/common';
import { ExperimentsController } from './experiments.controller.js';
import { ExperimentsJobs } from './experiments.jobs.js';
import { ExperimentsService } from './experiments.service.js';

/**
 * Split tests: who gets which arm, what came of it, and which arm wins. Owns `experiment`, `experiment_period` and
 * `experiment_assignment`. What an arm is, its asker knows.
 */
@Module({
  controllers: [ExperimentsController],
  providers: [ExperimentsService, ExperimentsJobs],
  exports: [ExperimentsService],
})
export class ExperimentsModule {}
