import { Spine1764000000000 } from './migrations/1764000000000-spine.js';
import { DeliveryEngine1764100000000 } from './migrations/1764100000000-delivery-engine.js';
import { LeaveReasons1764200000000 } from './migrations/1764200000000-leave-reasons.js';
import { ErasureIndexes1764210000000 } from './migrations/1764210000000-erasure-indexes.js';
import { AttemptTime1764300000000 } from './migrations/1764300000000-attempt-time.js';
import { PlanningSpeed1764310000000 } from './migrations/1764310000000-planning-speed.js';
import { TrackingHits1764400000000 } from './migrations/1764400000000-tracking-hits.js';
import { Bounces1764500000000 } from './migrations/1764500000000-bounces.js';
import { PlannedFor1764600000000 } from './migrations/1764600000000-planned-for.js';
import { SignedDomains1764710000000 } from './migrations/1764710000000-signed-domains.js';
import { SequenceSteps1764810000000 } from './migrations/1764810000000-sequence-steps.js';
import { Pauses1764820000000 } from './migrations/1764820000000-pauses.js';
import { Segments1764840000000 } from './migrations/1764840000000-segments.js';
import { SequenceOutboxes1764850000000 } from './migrations/1764850000000-sequence-outboxes.js';
import { Experiments1764910000000 } from './migrations/1764910000000-experiments.js';
import { Imports1764920000000 } from './migrations/1764920000000-imports.js';
import { TagSignals1764930000000 } from './migrations/1764930000000-tag-signals.js';
import { BroadcastTiming1764930000000 } from './migrations/1764930000000-broadcast-timing.js';
import { BroadcastSplits1764931000000 } from './migrations/1764931000000-broadcast-splits.js';
import { BroadcastResends1764932000000 } from './migrations/1764932000000-broadcast-resends.js';
import { FunnelParts1764935000000 } from './migrations/1764935000000-funnel-parts.js';
import { SignupTimes1764960000000 } from './migrations/1764960000000-signup-times.js';
import { UnreadColumns1764970000000 } from './migrations/1764970000000-unread-columns.js';
import { SendHours1764980000000 } from './migrations/1764980000000-send-hours.js';
import { MailEntries1764981000000 } from './migrations/1764981000000-mail-entries.js';
import { BulkEnrollments1764982000000 } from './migrations/1764982000000-bulk-enrollments.js';
import { ImportSpeed1764990000000 } from './migrations/1764990000000-import-speed.js';
import { ImportBatches1764991000000 } from './migrations/1764991000000-import-batches.js';
import { HitsWithoutLocks1765000000000 } from './migrations/1765000000000-hits-without-locks.js';
import { AttemptsWithoutCheck1765100000000 } from './migrations/1765100000000-attempts-without-check.js';
import { RefusedSecondTime1765101000000 } from './migrations/1765101000000-refused-second-time.js';
import { MailEntriesSince1765102000000 } from './migrations/1765102000000-mail-entries-since.js';
import { FieldSignals1765103000000 } from './migrations/1765103000000-field-signals.js';
import { Refunds1765107000000 } from './migrations/1765107000000-refunds.js';
import { Memberships1765107100000 } from './migrations/1765107100000-memberships.js';
import { Upsells1765107200000 } from './migrations/1765107200000-upsells.js';
import { Affiliates1765108000000 } from './migrations/1765108000000-affiliates.js';
import { OrderTerms1765110000000 } from './migrations/1765110000000-order-terms.js';
import { LeavingAffiliates1765110010000 } from './migrations/1765110010000-leaving-affiliates.js';
import { PayoutsUndone1765110020000 } from './migrations/1765110020000-payouts-undone.js';
import { RowsOfImports1765113000000 } from './migrations/1765113000000-rows-of-imports.js';
import { PromisedPrices1765131000000 } from './migrations/1765131000000-promised-prices.js';
import { PromisedProducts1765131100000 } from './migrations/1765131100000-promised-products.js';
import { VersionsBefore1765135000000 } from './migrations/1765135000000-versions-before.js';
import { PartialRefunds1765137000000 } from './migrations/1765137000000-partial-refunds.js';
import { FirstTouch1765137010000 } from './migrations/1765137010000-first-touch.js';
import { AffiliateLogins1765137020000 } from './migrations/1765137020000-affiliate-logins.js';
import { RefundWishes1765139000000 } from './migrations/1765139000000-refund-wishes.js';
import { ClicksOfOrders1765139010000 } from './migrations/1765139010000-clicks-of-orders.js';
import { ReportsAndHeldMails1765140000000 } from './migrations/1765140000000-reports-and-held-mails.js';
import { CauseOfSignals1765141000000 } from './migrations/1765141000000-cause-of-signals.js';
import { Resumptions1765149000000 } from './migrations/1765149000000-resumptions.js';
import { LeftByMail1765149010000 } from './migrations/1765149010000-left-by-mail.js';
import { SequencePauses1765149020000 } from './migrations/1765149020000-sequence-pauses.js';
import { RoomForUpdates1765150000000 } from './migrations/1765150000000-room-for-updates.js';
import { BroadcastPriority1765150100000 } from './migrations/1765150100000-broadcast-priority.js';
import { FieldBlocks1765151460000 } from './migrations/1765151460000-field-blocks.js';
import { BounceReceived1765152000000 } from './migrations/1765152000000-bounce-received.js';
import { AcceptedTimes1765220000000 } from './migrations/1765220000000-accepted-times.js';
import { BroadcastGuardRails1765230000000 } from './migrations/1765230000000-broadcast-guard-rails.js';
import { TemplateTexts1765240000000 } from './migrations/1765240000000-template-texts.js';
import { ReplacedArms1765270000000 } from './migrations/1765270000000-replaced-arms.js';
import { ZonesBefore1765270100000 } from './migrations/1765270100000-zones-before.js';
import { RelayTries1765280000000 } from './migrations/1765280000000-relay-tries.js';
import { OpenMailsOfArms1765290000000 } from './migrations/1765290000000-open-mails-of-arms.js';
import { Appliers1765350000000 } from './migrations/1765350000000-appliers.js';
import { CameAt1765390000000 } from './migrations/1765390000000-came-at.js';
import { PublicLists1765400000000 } from './migrations/1765400000000-public-lists.js';
import { WrittenMails1765400100000 } from './migrations/1765400100000-written-mails.js';
import { EventNames1765392000000 } from './migrations/1765392000000-event-names.js';
import { ListSignals1765391000000 } from './migrations/1765391000000-list-signals.js';
import { BroadcastOffers1765410000000 } from './migrations/1765410000000-broadcast-offers.js';
import { TimesOfEvents1765300000000 } from './migrations/1765300000000-times-of-events.js';
import { FormAnswers1765420000000 } from './migrations/1765420000000-form-answers.js';
import { ToldUntil1765460000000 } from './migrations/1765460000000-told-until.js';
import { HoursOf1765461000000 } from './migrations/1765461000000-hours-of.js';
import { BroadcastLists1765462000000 } from './migrations/1765462000000-broadcast-lists.js';
import { JudgedMails1765540000000 } from './migrations/1765540000000-judged-mails.js';
import { LetGoAt1765490000000 } from './migrations/1765490000000-let-go-at.js';
import { Withdrawn1765495000000 } from './migrations/1765495000000-withdrawn.js';
import { Uncounted1765550000000 } from './migrations/1765550000000-uncounted.js';
import { RelayPause1765560000000 } from './migrations/1765560000000-relay-pause.js';
import { PutOffs1765610000000 } from './migrations/1765610000000-put-offs.js';
import { LinkAmpersands1765620000000 } from './migrations/1765620000000-link-ampersands.js';
import { SoftBounces1765650000000 } from './migrations/1765650000000-soft-bounces.js';
import { WarmUpDays1765660000000 } from './migrations/1765660000000-warm-up-days.js';
import { InstallationSalt1765711000000 } from './migrations/1765711000000-installation-salt.js';
import { AmazonReplies1765716000000 } from './migrations/1765716000000-amazon-replies.js';
import { FilteredLists1765760000000 } from './migrations/1765760000000-filtered-lists.js';
import { MailedAlerts1765790000000 } from './migrations/1765790000000-mailed-alerts.js';
import { SeenToForget1765800000000 } from './migrations/1765800000000-seen-to-forget.js';
import { ImportedChoices1765801000000 } from './migrations/1765801000000-imported-choices.js';
import { TopicToLeave1765802000000 } from './migrations/1765802000000-topic-to-leave.js';
import { PausedForProvider1765820000000 } from './migrations/1765820000000-paused-for-provider.js';
import { PutOffMails1765830000000 } from './migrations/1765830000000-put-off-mails.js';
import { PausedForProviders1765860000000 } from './migrations/1765860000000-paused-for-providers.js';
import { PauseOverruled1765861000000 } from './migrations/1765861000000-pause-overruled.js';
import { RoomForMails1765862500000 } from './migrations/1765862500000-room-for-mails.js';
import { PausedAt1765941000000 } from './migrations/1765941000000-paused-at.js';
import { StoppedPeople1765981000000 } from './migrations/1765981000000-stopped-people.js';
import { WaitingTests1765982000000 } from './migrations/1765982000000-waiting-tests.js';
import { NoesOfRefusedRows1765990100000 } from './migrations/1765990100000-noes-of-refused-rows.js';
import { PausesLeft1765990200000 } from './migrations/1765990200000-pauses-left.js';
import { LeavingsKnown1766100000000 } from './migrations/1766100000000-leavings-known.js';
import { JudgedReports1766130000000 } from './migrations/1766130000000-judged-reports.js';
import { MessagesByState1766150000000 } from './migrations/1766150000000-messages-by-state.js';
import { ReleasedPauses1766180100000 } from './migrations/1766180100000-released-pauses.js';
import { JudgedSequences1766190100000 } from './migrations/1766190100000-judged-sequences.js';
import { HoursOfPlanned1766200100000 } from './migrations/1766200100000-hours-of-planned.js';
import { NewWords1766200200000 } from './migrations/1766200200000-new-words.js';
import { FieldsInUse1766230000000 } from './migrations/1766230000000-fields-in-use.js';
import { AddressChanges1766290000000 } from './migrations/1766290000000-address-changes.js';
import { ArchivedFunnels1766290100000 } from './migrations/1766290100000-archived-funnels.js';
import { ApiMails1766300000000 } from './migrations/1766300000000-api-mails.js';
import { FieldsWithNulls1766310000000 } from './migrations/1766310000000-fields-with-nulls.js';
import { FormerAddresses1766330000000 } from './migrations/1766330000000-former-addresses.js';

/** In the order they run. Forward only; a released one is never edited. */
export const migrations = [
  Spine1764000000000,
  DeliveryEngine1764100000000,
  LeaveReasons1764200000000,
  ErasureIndexes1764210000000,
  AttemptTime1764300000000,
  PlanningSpeed1764310000000,
  TrackingHits1764400000000,
  Bounces1764500000000,
  PlannedFor1764600000000,
  SignedDomains1764710000000,
  SequenceSteps1764810000000,
  Pauses1764820000000,
  Segments1764840000000,
  SequenceOutboxes1764850000000,
  Experiments1764910000000,
  Imports1764920000000,
  TagSignals1764930000000,
  BroadcastTiming1764930000000,
  BroadcastSplits1764931000000,
  BroadcastResends1764932000000,
  FunnelParts1764935000000,
  SignupTimes1764960000000,
  UnreadColumns1764970000000,
  SendHours1764980000000,
  MailEntries1764981000000,
  BulkEnrollments1764982000000,
  ImportSpeed1764990000000,
  ImportBatches1764991000000,
  HitsWithoutLocks1765000000000,
  AttemptsWithoutCheck1765100000000,
  RefusedSecondTime1765101000000,
  MailEntriesSince1765102000000,
  FieldSignals1765103000000,
  Refunds1765107000000,
  Memberships1765107100000,
  Upsells1765107200000,
  Affiliates1765108000000,
  OrderTerms1765110000000,
  LeavingAffiliates1765110010000,
  PayoutsUndone1765110020000,
  RowsOfImports1765113000000,
  PromisedPrices1765131000000,
  PromisedProducts1765131100000,
  VersionsBefore1765135000000,
  PartialRefunds1765137000000,
  FirstTouch1765137010000,
  AffiliateLogins1765137020000,
  RefundWishes1765139000000,
  ClicksOfOrders1765139010000,
  ReportsAndHeldMails1765140000000,
  CauseOfSignals1765141000000,
  Resumptions1765149000000,
  LeftByMail1765149010000,
  SequencePauses1765149020000,
  RoomForUpdates1765150000000,
  BroadcastPriority1765150100000,
  FieldBlocks1765151460000,
  BounceReceived1765152000000,
  AcceptedTimes1765220000000,
  BroadcastGuardRails1765230000000,
  TemplateTexts1765240000000,
  ReplacedArms1765270000000,
  ZonesBefore1765270100000,
  RelayTries1765280000000,
  OpenMailsOfArms1765290000000,
  TimesOfEvents1765300000000,
  Appliers1765350000000,
  CameAt1765390000000,
  PublicLists1765400000000,
  WrittenMails1765400100000,
  ListSignals1765391000000,
  EventNames1765392000000,
  BroadcastOffers1765410000000,
  FormAnswers1765420000000,
  ToldUntil1765460000000,
  HoursOf1765461000000,
  BroadcastLists1765462000000,
  LetGoAt1765490000000,
  Withdrawn1765495000000,
  JudgedMails1765540000000,
  Uncounted1765550000000,
  RelayPause1765560000000,
  PutOffs1765610000000,
  LinkAmpersands1765620000000,
  SoftBounces1765650000000,
  WarmUpDays1765660000000,
  InstallationSalt1765711000000,
  AmazonReplies1765716000000,
  FilteredLists1765760000000,
  MailedAlerts1765790000000,
  SeenToForget1765800000000,
  ImportedChoices1765801000000,
  TopicToLeave1765802000000,
  PausedForProvider1765820000000,
  PutOffMails1765830000000,
  PausedForProviders1765860000000,
  PauseOverruled1765861000000,
  RoomForMails1765862500000,
  PausedAt1765941000000,
  StoppedPeople1765981000000,
  WaitingTests1765982000000,
  NoesOfRefusedRows1765990100000,
  PausesLeft1765990200000,
  LeavingsKnown1766100000000,
  JudgedReports1766130000000,
  MessagesByState1766150000000,
  ReleasedPauses1766180100000,
  JudgedSequences1766190100000,
  HoursOfPlanned1766200100000,
  NewWords1766200200000,
  FieldsInUse1766230000000,
  AddressChanges1766290000000,
  ArchivedFunnels1766290100000,
  ApiMails1766300000000,
  FieldsWithNulls1766310000000,
  FormerAddresses1766330000000,
];
