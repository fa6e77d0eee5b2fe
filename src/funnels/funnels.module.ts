import { Module } from '@nestjs/common';
import { AffiliatesModule } from '../affiliates/affiliates.module.js';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { PreflightModule } from '../delivery/preflight/preflight.module.js';
import { FilesModule } from '../infra/files/files.module.js';
import { TemplatesModule } from '../infra/templates/templates.module.js';
import { OffersModule } from '../offers/offers.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { SignupModule } from '../signup/signup.module.js';
import { DeliveredFilesController } from './delivered-files.controller.js';
import { DeliveredFiles } from './delivered-files.service.js';
import { DemoService } from './demo.service.js';
import { FunnelChanges } from './funnel-changes.service.js';
import { FunnelConflicts } from './funnel-conflicts.service.js';
import { FunnelFolders } from './funnel-folders.service.js';
import { FunnelMails } from './funnel-mails.service.js';
import { FunnelLintService } from './funnel-lint.service.js';
import { FunnelObjectsController } from './funnel-objects.controller.js';
import { FunnelObjectsService } from './funnel-objects.service.js';
import { FunnelPreflightService } from './funnel-preflight.service.js';
import { FunnelPublisher } from './funnel-publisher.service.js';
import { FunnelSchemaController } from './funnel-schema.controller.js';
import { FunnelSourcesService } from './funnel-sources.service.js';
import { FunnelStore } from './funnel-store.service.js';
import { FunnelsController } from './funnels.controller.js';
import { FunnelsService } from './funnels.service.js';
import { ForecastController } from './forecast/forecast.controller.js';
import { ForecastQueries } from './forecast/forecast.queries.js';
import { ForecastService } from './forecast/forecast.service.js';
import { ShopPublisher } from './shop-publisher.service.js';
import { WantedFunnels } from './wanted-funnels.service.js';
import { SimulationService } from './simulation/simulation.service.js';
import { SimulationController } from './simulation/simulation.controller.js';

/**
 * Funnels as code: plan, apply, roll back, export. Owns `funnel` and `funnel_version`; the parts of a funnel are written by the
 * modules that own them.
 */
@Module({
  imports: [
    FilesModule,
    TemplatesModule,
    DeliveryModule,
    AffiliatesModule,
    PreflightModule,
    SequencesModule,
    SignupModule,
    OffersModule,
  ],
  controllers: [
    FunnelsController,
    DeliveredFilesController,
    FunnelObjectsController,
    FunnelSchemaController,
    SimulationController,
    ForecastController,
  ],
  providers: [
    FunnelsService,
    FunnelObjectsService,
    FunnelStore,
    FunnelChanges,
    FunnelLintService,
    FunnelMails,
    FunnelSourcesService,
    FunnelPublisher,
    FunnelConflicts,
    ShopPublisher,
    WantedFunnels,
    DeliveredFiles,
    FunnelFolders,
    FunnelPreflightService,
    DemoService,
    SimulationService,
    ForecastQueries,
    ForecastService,
  ],
  exports: [
    FunnelsService,
    DeliveredFiles,
    FunnelPreflightService,
    DemoService,
    ForecastService,
    SimulationService,
  ],
})
export class FunnelsModule {}
