import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { TemplatesModule } from '../infra/templates/templates.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { TrackingModule } from '../tracking/tracking.module.js';
import { OfferPageController } from './offer-page.controller.js';
import { OffersController } from './offers.controller.js';
import { OffersService } from './offers.service.js';
import { ProductsController } from './products.controller.js';
import { ProductsService } from './products.service.js';

/** What is sold and at which price. Owns `product` and `offer`. */
@Module({
  imports: [DeliveryModule, SequencesModule, TemplatesModule, TrackingModule],
  controllers: [OfferPageController, OffersController, ProductsController],
  providers: [OffersService, ProductsService],
  exports: [OffersService, ProductsService],
})
export class OffersModule {}
