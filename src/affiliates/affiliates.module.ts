import { Module } from '@nestjs/common';
import { SequencesModule } from '../sequences/sequences.module.js';
import { TrackingModule } from '../tracking/tracking.module.js';
import { AffiliateLinkController } from './affiliate-link.controller.js';
import { AffiliateTermsService } from './affiliate-terms.service.js';
import { AffiliatesController } from './affiliates.controller.js';
import { AffiliatesService } from './affiliates.service.js';
import { CommissionsController } from './commissions.controller.js';
import { CommissionsService } from './commissions.service.js';
import { PayoutsController } from './payouts.controller.js';
import { PayoutsService } from './payouts.service.js';
import { ReferralsService } from './referrals.service.js';

/**
 * Partners, commissions in two tiers, payouts. Before sign-up and orders, which tell it whom they got and who paid. Owns
 * `affiliate` and the tables named after it, `referral` and its two waiting rooms, `commission`, `clawback` and `payout`.
 */
@Module({
  imports: [SequencesModule, TrackingModule],
  controllers: [AffiliateLinkController, AffiliatesController, CommissionsController, PayoutsController],
  providers: [AffiliatesService, AffiliateTermsService, ReferralsService, CommissionsService, PayoutsService],
  exports: [AffiliatesService, AffiliateTermsService, ReferralsService, CommissionsService, PayoutsService],
})
export class AffiliatesModule {}
