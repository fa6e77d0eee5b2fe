import type { INestApplicationContext } from '@nestjs/common';
import { BroadcastResends } from '../broadcasts/broadcast-resends.service.js';
import { BroadcastPreviews } from '../broadcasts/broadcast-previews.service.js';
import { BroadcastUnknowns } from '../broadcasts/broadcast-unknowns.service.js';
import { BroadcastWords } from '../broadcasts/broadcast-words.service.js';
import { BroadcastsService } from '../broadcasts/broadcasts.service.js';
import { DkimKeys } from '../delivery/signing/dkim-keys.service.js';
import { GenerationGuard } from '../delivery/generation/generation-guard.service.js';
import { SequenceUnknowns } from '../delivery/waiting/sequence-unknowns.service.js';
import { MessagesQueries } from '../delivery/ledger/messages.queries.js';
import { ApiMails } from '../delivery/api-mails/api-mails.service.js';
import { TestMails } from '../delivery/preflight/test-mails.service.js';
import { PreflightService } from '../delivery/preflight/preflight.service.js';
import { SignedDomains } from '../delivery/signing/signed-domains.service.js';
import { FunnelArchive } from '../funnels/archive/funnel-archive.service.js';
import { FunnelFolders } from '../funnels/export/funnel-folders.service.js';
import { FunnelPreflightService } from '../funnels/templates/funnel-preflight.service.js';
import { FunnelsService } from '../funnels/funnels.service.js';
import { ExportsService } from '../imports/exports.service.js';
import { ImportsService } from '../imports/imports.service.js';
import { MailPreviews } from '../sequences/previews/mail-previews.service.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { ApiKeysService } from '../infra/access/api-keys.service.js';

export interface CommandServices {
  broadcasts: BroadcastsService;
  broadcastPreviews: BroadcastPreviews;
  broadcastUnknowns: BroadcastUnknowns;
  broadcastResends: BroadcastResends;
  broadcastWords: BroadcastWords;
  messages: MessagesQueries;
  sequenceUnknowns: SequenceUnknowns;
  funnels: FunnelsService;
  funnelArchive: FunnelArchive;
  funnelFolders: FunnelFolders;
  funnelPreflight: FunnelPreflightService;
  preflight: PreflightService;
  testMails: TestMails;
  apiMails: ApiMails;
  dkimKeys: DkimKeys;
  signedDomains: SignedDomains;
  generationGuard: GenerationGuard;
  mailPreviews: MailPreviews;
  subscribers: SubscribersService;
  imports: ImportsService;
  exports: ExportsService;
  apiKeys: ApiKeysService;
}

/**
 * What commands ask of the application. They name only its type: so `--help`, `lint` and `simulate`, which need no
 * database, do not load all of the application first, which takes longer than their work.
 */
export function commandServices(app: INestApplicationContext): CommandServices {
  const anywhere = { strict: false };
  return {
    broadcasts: app.get(BroadcastsService, anywhere),
    broadcastPreviews: app.get(BroadcastPreviews, anywhere),
    broadcastUnknowns: app.get(BroadcastUnknowns, anywhere),
    broadcastResends: app.get(BroadcastResends, anywhere),
    broadcastWords: app.get(BroadcastWords, anywhere),
    messages: app.get(MessagesQueries, anywhere),
    sequenceUnknowns: app.get(SequenceUnknowns, anywhere),
    funnels: app.get(FunnelsService, anywhere),
    funnelArchive: app.get(FunnelArchive, anywhere),
    funnelFolders: app.get(FunnelFolders, anywhere),
    funnelPreflight: app.get(FunnelPreflightService, anywhere),
    preflight: app.get(PreflightService, anywhere),
    testMails: app.get(TestMails, anywhere),
    apiMails: app.get(ApiMails, anywhere),
    dkimKeys: app.get(DkimKeys, anywhere),
    signedDomains: app.get(SignedDomains, anywhere),
    generationGuard: app.get(GenerationGuard, anywhere),
    mailPreviews: app.get(MailPreviews, anywhere),
    subscribers: app.get(SubscribersService, anywhere),
    imports: app.get(ImportsService, anywhere),
    exports: app.get(ExportsService, anywhere),
    apiKeys: app.get(ApiKeysService, anywhere),
  };
}
