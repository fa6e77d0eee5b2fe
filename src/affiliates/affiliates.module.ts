import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { ImportsModule } from '../imports/imports.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { TrackingModule } from '../tracking/tracking.module.js';
import { AffiliateLinkController } from './affiliate-link.controller.js';
import { AffiliateTermsService } from './affiliate-terms.service.js';
import { AffiliatesController } from './affiliates.controller.js';
import { AffiliatesService } from './affiliates.service.js';
import { CommissionsController } from './commissions.controller.js';
import { CommissionsService } from './commissions.service.js';
import { PartnerAccess } from './partner/partner-access.service.js';
import { PartnerController } from './partner/partner.controller.js';
import { PartnerMails } from './partner/partner-mails.service.js';
import { PartnerPage } from './partner/partner-page.service.js';
import { PayoutsController } from './payouts.controller.js';
import { PayoutsService } from './payouts.service.js';
import { ReferralsService } from './referrals.service.js';

/**
 * Partners, commissions in two tiers, payouts. Before sign-up and orders, which tell it whom they got and who paid. Owns
 * `affiliate` and the tables named after it, `referral` and its two waiting rooms, `commission`, `clawback` and `payout`.
 */
@Module({
  imports: [DeliveryModule, ImportsModule, SequencesModule, TrackingModule],
  controllers: [
    AffiliateLinkController,
    AffiliatesController,
    CommissionsController,
    PayoutsController,
    PartnerController,
  ],
  providers: [
    AffiliatesService,
    AffiliateTermsService,
    ReferralsService,
    CommissionsService,
    PayoutsService,
    PartnerAccess,
    PartnerMails,
    PartnerPage,
  ],
  exports: [AffiliatesService, AffiliateTermsService, ReferralsService, CommissionsService, PayoutsService],
})
export class AffiliatesModule {}
