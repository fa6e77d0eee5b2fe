import { Module } from '@nestjs/common';
import { SegmentsModule } from '../segments/segments.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { ExportsController } from './exports.controller.js';
import { ExportsService } from './exports.service.js';
import { ImportFiles } from './import-files.service.js';
import { ImportsController } from './imports.controller.js';
import { ImportsJobs } from './imports.jobs.js';
import { ImportsQueries } from './imports.queries.js';
import { ImportsService } from './imports.service.js';
import { StagingService } from './staging.service.js';

/** Tables of people on their way in and out. Owns `import_job`, `import_row` and `import_file`. */
@Module({
  imports: [SubscribersModule, SegmentsModule],
  controllers: [ImportsController, ExportsController],
  providers: [ImportsService, ImportsQueries, ImportFiles, StagingService, ExportsService, ImportsJobs],
  exports: [ImportsService, ExportsService],
})
export class ImportsModule {}
