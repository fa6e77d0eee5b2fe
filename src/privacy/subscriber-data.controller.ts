import { Controller, Delete, Get, Headers, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { unchangedSince } from '../infra/http/etag.js';
import { idSchema } from '../infra/http/page.js';
import { subscriberJson, type SubscriberJson, subscriberSchema } from '../subscribers/subscribers.schemas.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { ErasureService } from './erasure.service.js';
import { type PersonalData, PersonalDataService } from './personal-data.service.js';
import { TrackingChoiceService } from './tracking-choice.service.js';
import { notFound } from '../values/not-found.js';

const records = z.array(z.record(z.string(), z.unknown()));
const personalData = z
  .object({
    exportedAt: z.iso.datetime(),
    controller: z.object({ baseUrl: z.string() }),
    profile: z.record(z.string(), z.unknown()),
    tags: z.array(z.string()),
    topics: records,
    consents: records,
    signups: records,
    suppressions: records,
    addressChanges: records,
    reasonForLeaving: records,
    sequences: records,
    offers: records,
    mails: records,
    hits: records,
    visits: records,
    conversions: records,
    returnedMails: records,
    orders: records,
    consentReceipt: z.object({
      jws: z.string().meta({ description: 'Compact JWS (EdDSA); its key is at /.well-known/jwks.json.' }),
      publicKey: z.record(z.string(), z.string()),
      publishedAt: z.string(),
    }),
  })
  .meta({ id: 'PersonalData' });

/** Stands here and not with the other routes of a subscriber, because they reach into every module. */
@Controller('api/v1/subscribers')
export class SubscriberDataController {
  constructor(
    private readonly data: PersonalDataService,
    private readonly erasure: ErasureService,
    private readonly tracking: TrackingChoiceService,
    private readonly subscribers: SubscribersService,
  ) {}

  @Get(':id/export')
  @ApiRoute({
    summary: 'Everything kept about a subscriber, with a signed consent receipt',
    tag: 'subscribers',
    response: personalData,
    errors: ['SUBSCRIBER_NOT_FOUND'],
  })
  async export(@Param('id', { schema: idSchema }) id: string): Promise<PersonalData> {
    return this.data.of(id);
  }

  @Post(':id/stop-tracking')
  @ApiRoute({
    summary: 'Count no more opens and clicks of a subscriber',
    description:
      'For who told you so. Their mails have plain links and no pixel from now on, and what was seen of them goes. Only they themselves agree to it again, on the page of their preferences.',
    tag: 'subscribers',
    response: subscriberSchema,
    status: 200,
    errors: ['SUBSCRIBER_NOT_FOUND'],
  })
  async stopTracking(@Param('id', { schema: idSchema }) id: string): Promise<SubscriberJson> {
    await this.tracking.stop(id, 'api');
    return subscriberJson(await this.subscribers.get(id));
  }

  @Delete(':id')
  @ApiRoute({
    summary: 'Erase a subscriber',
    description:
      'For good: person, consents, tags and history go; waiting mails are cancelled. A hash of the address stays suppressed, and paid orders stay without it.',
    tag: 'subscribers',
    response: null,
    ifMatch: true,
    errors: ['SUBSCRIBER_NOT_FOUND'],
  })
  async erase(
    @Param('id', { schema: idSchema }) id: string,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    const unchanged = unchangedSince(ifMatch, subscriberJson);
    if (!(await this.erasure.erase(id, 'api', unchanged))) throw notFound('subscriber', id);
  }
}
