import { Module } from '@nestjs/common';
import { AffiliatesModule } from '../affiliates/affiliates.module.js';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { FilesModule } from '../infra/files/files.module.js';
import { TemplatesModule } from '../infra/templates/templates.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { TrackingModule } from '../tracking/tracking.module.js';
import { AdmissionService } from './admission.service.js';
import { ConfirmController } from './confirm.controller.js';
import { ConfirmationService } from './confirmation.service.js';
import { EmbeddedFormController } from './embedded-form.controller.js';
import { FormsController } from './forms.controller.js';
import { FormsService } from './forms.service.js';
import { FormIntake } from './form-intake.service.js';
import { KeptSignups } from './kept-signups.service.js';
import { NewAddressService } from './new-address.service.js';
import { ServedForms } from './served-forms.service.js';
import { SignupHandIn } from './signup-hand-in.service.js';
import { SignupLimits } from './signup-limits.service.js';
import { SignupTraces } from './signup-traces.service.js';
import { SignupService } from './signup.service.js';
import { SqueezePageController } from './squeeze-page.controller.js';
import { SubscriberUnsubscribeController } from './subscriber-unsubscribe.controller.js';
import { SubscriberUpdateController } from './subscriber-update.controller.js';
import { UnsubscribeController } from './unsubscribe.controller.js';
import { UnsubscribeService } from './unsubscribe.service.js';

/** A visitor becomes a subscriber, and may leave again: squeeze page, embedded form, double opt-in, unsubscribe. Owns `form`, `signup`. */
@Module({
  imports: [
    SubscribersModule,
    TrackingModule,
    AffiliatesModule,
    DeliveryModule,
    SequencesModule,
    FilesModule,
    TemplatesModule,
  ],
  controllers: [
    SqueezePageController,
    EmbeddedFormController,
    ConfirmController,
    UnsubscribeController,
    FormsController,
    SubscriberUnsubscribeController,
    SubscriberUpdateController,
  ],
  providers: [
    FormsService,
    ServedForms,
    KeptSignups,
    SignupHandIn,
    SignupService,
    SignupTraces,
    ConfirmationService,
    AdmissionService,
    FormIntake,
    SignupLimits,
    UnsubscribeService,
    NewAddressService,
  ],
  exports: [FormsService, KeptSignups, UnsubscribeService, NewAddressService],
})
export class SignupModule {}
