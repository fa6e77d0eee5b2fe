import { Module } from '@nestjs/common';
import { AffiliatesModule } from '../affiliates/affiliates.module.js';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { ImportsModule } from '../imports/imports.module.js';
import { TemplatesModule } from '../infra/templates/templates.module.js';
import { OffersModule } from '../offers/offers.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { TrackingModule } from '../tracking/tracking.module.js';
import { CheckoutPages } from './checkout-pages.service.js';
import { MembershipsController } from './memberships/memberships.controller.js';
import { MembershipsJobs } from './memberships/memberships.jobs.js';
import { MembershipsService } from './memberships/memberships.service.js';
import { CheckoutController } from './checkout.controller.js';
import { CheckoutLimits } from './checkout-limits.service.js';
import { CheckoutService } from './checkout.service.js';
import { LicencesController } from './licences.controller.js';
import { OrderEffects } from './order-effects.service.js';
import { OrderPageController } from './order-page.controller.js';
import { OrdersController } from './orders.controller.js';
import { OrdersJobs } from './orders.jobs.js';
import { OrdersService } from './orders.service.js';
import { ReceiptsService } from './receipts.service.js';
import { CreditNotesService } from './refunds/credit-notes.service.js';
import { RefundsService } from './refunds/refunds.service.js';
import { TestPaymentController } from './test-payment.controller.js';
import { UpsellPageController } from './upsells/upsell-page.controller.js';
import { UpsellsService } from './upsells/upsells.service.js';

/** From the checkout to the download and the membership. Owns `orders`, `order_line`, `refund` and its lines, `licence`, `membership` and `upsell`. */
@Module({
  imports: [
    AffiliatesModule,
    DeliveryModule,
    ImportsModule,
    OffersModule,
    SequencesModule,
    SubscribersModule,
    TemplatesModule,
    TrackingModule,
  ],
  controllers: [
    CheckoutController,
    TestPaymentController,
    OrderPageController,
    OrdersController,
    LicencesController,
    MembershipsController,
    UpsellPageController,
  ],
  providers: [
    CheckoutService,
    CheckoutLimits,
    CheckoutPages,
    OrderEffects,
    OrdersService,
    ReceiptsService,
    RefundsService,
    CreditNotesService,
    MembershipsService,
    UpsellsService,
    MembershipsJobs,
    OrdersJobs,
  ],
  exports: [OrdersService, RefundsService, MembershipsService],
})
export class OrdersModule {}
