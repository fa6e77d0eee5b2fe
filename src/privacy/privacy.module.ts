import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { MailboxModule } from '../infra/mailbox/mailbox.module.js';
import { OrdersModule } from '../orders/orders.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { SignupModule } from '../signup/signup.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { TrackingModule } from '../tracking/tracking.module.js';
import { AddressLinks } from './address-links.service.js';
import { AddressRequests } from './address-requests.service.js';
import { AskNewAddressController } from './ask-new-address.controller.js';
import { DataRequestService } from './data-request.service.js';
import { EraseController } from './erase.controller.js';
import { ErasureService } from './erasure.service.js';
import { ListChoicesService } from './list-choices.service.js';
import { NewAddressController } from './new-address.controller.js';
import { MyDataController } from './my-data.controller.js';
import { PrivacyJobs } from './privacy.jobs.js';
import { PausesService } from './pauses.service.js';
import { PersonalDataService } from './personal-data.service.js';
import { PersonalLetters } from './personal-letters.service.js';
import { PreferencesAddressController } from './preferences-address.controller.js';
import { PreferencesPage } from './preferences-page.service.js';
import { PreferencesController } from './preferences.controller.js';
import { PreferencesService } from './preferences.service.js';
import { ReceiptKeyController } from './receipt-key.controller.js';
import { SubscriberDataController } from './subscriber-data.controller.js';
import { TopicChoicesService } from './topic-choices.service.js';
import { TrackingChoiceService } from './tracking-choice.service.js';

/**
 * What people decide about themselves: topics, pauses, being counted, a copy of their data, being forgotten. Late in the order,
 * because copying and forgetting reach into every module before. Owns no table.
 */
@Module({
  imports: [
    SubscribersModule,
    TrackingModule,
    DeliveryModule,
    SequencesModule,
    SignupModule,
    OrdersModule,
    MailboxModule,
  ],
  controllers: [
    PreferencesController,
    PreferencesAddressController,
    NewAddressController,
    AskNewAddressController,
    MyDataController,
    EraseController,
    SubscriberDataController,
    ReceiptKeyController,
  ],
  providers: [
    PreferencesService,
    TopicChoicesService,
    TrackingChoiceService,
    ListChoicesService,
    PersonalLetters,
    AddressLinks,
    AddressRequests,
    PreferencesPage,
    DataRequestService,
    PersonalDataService,
    ErasureService,
    PausesService,
    PrivacyJobs,
  ],
  exports: [PersonalDataService, ErasureService, TrackingChoiceService, AddressRequests],
})
export class PrivacyModule {}
