import { Module } from '@nestjs/common';
import { AffiliatesModule } from '../affiliates/affiliates.module.js';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { PreflightModule } from '../delivery/preflight/preflight.module.js';
import { FilesModule } from '../infra/files/files.module.js';
import { TemplatesModule } from '../infra/templates/templates.module.js';
import { OffersModule } from '../offers/offers.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { SignupModule } from '../signup/signup.module.js';
import { FunnelArchive } from './archive/funnel-archive.service.js';
import { FunnelArchiveController } from './archive/funnel-archive.controller.js';
import { DeliveredFilesController } from './files/delivered-files.controller.js';
import { DeliveredFiles } from './files/delivered-files.service.js';
import { DemoService } from './demo.service.js';
import { FunnelChanges } from './changes/funnel-changes.service.js';
import { FunnelConflicts } from './changes/funnel-conflicts.service.js';
import { FunnelFolders } from './export/funnel-folders.service.js';
import { FunnelMails } from './templates/funnel-mails.service.js';
import { FunnelLintService } from './lint/funnel-lint.service.js';
import { FunnelObjectsController } from './changes/funnel-objects.controller.js';
import { FunnelObjectsService } from './changes/funnel-objects.service.js';
import { FunnelPreflightService } from './templates/funnel-preflight.service.js';
import { FunnelPublisher } from './publish/funnel-publisher.service.js';
import { FunnelSchemaController } from './schemas/funnel-schema.controller.js';
import { FunnelSourcesService } from './templates/funnel-sources.service.js';
import { FunnelStore } from './funnel-store.service.js';
import { FunnelsController } from './funnels.controller.js';
import { FunnelsService } from './funnels.service.js';
import { ForecastController } from './forecast/forecast.controller.js';
import { ForecastQueries } from './forecast/forecast.queries.js';
import { ForecastService } from './forecast/forecast.service.js';
import { ShopPublisher } from './publish/shop-publisher.service.js';
import { WantedFunnels } from './changes/wanted-funnels.service.js';
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
    FunnelArchiveController,
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
    FunnelArchive,
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
    FunnelArchive,
    DeliveredFiles,
    FunnelPreflightService,
    DemoService,
    ForecastService,
    SimulationService,
  ],
})
export class FunnelsModule {}
