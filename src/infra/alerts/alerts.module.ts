import { Global, Module } from '@nestjs/common';
import { DatabaseWatch } from '../database/database-watch.service.js';
import { AlertsController } from './alerts.controller.js';
import { AlertsService } from './alerts.service.js';

/** Global: whatever runs by itself must be able to say that it cannot go on. */
@Global()
@Module({
  controllers: [AlertsController],
  providers: [AlertsService, DatabaseWatch],
  exports: [AlertsService, DatabaseWatch],
})
export class AlertsModule {}
