import { Body, Controller, Get, Headers, Param, Patch, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import {
  broadcastTestRequest,
  preflightResponse,
  testResponse,
} from '../delivery/preflight/templates.schemas.js';
import { resentResponse } from '../delivery/waiting/waiting.schemas.js';
import { ApiRoute } from '../infra/http/api-route.js';
import { unchangedSince } from '../infra/http/etag.js';
import { idSchema, pageQuery, toPage, type PageQuery } from '../infra/http/page.js';
import type { Broadcast } from './broadcast.js';
import { reportJson, toJson, writtenOfBroadcast } from './broadcast-json.js';
import {
  audienceSize,
  broadcastBody,
  broadcastChange,
  broadcastPage,
  broadcastReport,
  broadcastResults,
  resendBody,
  startBody,
  timingOf,
} from './broadcasts.schemas.js';
import { BroadcastPreviews } from './broadcast-previews.service.js';
import { BroadcastResends } from './broadcast-resends.service.js';
import { BroadcastReports } from './broadcast-reports.service.js';
import { BroadcastUnknowns } from './broadcast-unknowns.service.js';
import { BroadcastWords } from './broadcast-words.service.js';
import { BroadcastsService } from './broadcasts.service.js';
import { armKey } from './split.js';

const tag = 'broadcasts';
const response = broadcastReport;

@Controller('api/v1/broadcasts')
export class BroadcastsController {
  constructor(
    private readonly broadcasts: BroadcastsService,
    private readonly reports: BroadcastReports,
    private readonly resends: BroadcastResends,
    private readonly unknowns: BroadcastUnknowns,
    private readonly words: BroadcastWords,
    private readonly previews: BroadcastPreviews,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List broadcasts, newest first', tag, response: broadcastPage })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: PageQuery): Promise<unknown> {
    return toPage(await this.reports.list({ beforeId: cursor, limit: limit + 1 }), limit, toJson);
  }

  @Post()
  @ApiRoute({
    summary: 'Write a broadcast',
    description: 'As a draft; nothing is sent before its start.',
    tag,
    response,
    example: {
      key: 'spring-2026',
      title: 'Spring',
      template: 'emails/story',
      audience: { segments: { any: ['readers'] } },
      sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' },
    },
    errors: [
      'TEMPLATE_NOT_FOUND',
      'TEMPLATE_INVALID',
      'SEGMENT_NOT_FOUND',
      'FUNNEL_NOT_FOUND',
      'BROADCAST_OFFER_INVALID',
      'BROADCAST_SPLIT_INVALID',
    ],
  })
  async create(@Body({ schema: broadcastBody }) body: z.output<typeof broadcastBody>): Promise<unknown> {
    return reportJson(await this.broadcasts.create(body));
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One broadcast, with its mails counted by state',
    tag,
    response,
    etag: writtenOfBroadcast,
    errors: ['BROADCAST_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return reportJson(await this.broadcasts.get(id));
  }

  @Get(':id/results')
  @ApiRoute({
    summary: 'What the mails of a broadcast came to',
    tag,
    response: broadcastResults,
    errors: ['BROADCAST_NOT_FOUND'],
  })
  async results(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const results = await this.reports.results(id);
    const ordersOfArms = results.ordersOfArms.map(({ arm, ...own }) => ({
      ...{ arm: arm === null ? null : armKey(arm), ...own },
    }));
    return { ...results, ordersOfArms };
  }

  @Get(':id/audience')
  @ApiRoute({
    summary: 'How many subscribers would get it now',
    tag,
    response: audienceSize,
    errors: ['BROADCAST_NOT_FOUND', 'SEGMENT_NOT_FOUND'],
  })
  async audience(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return { size: await this.broadcasts.audienceSize(id) };
  }

  @Patch(':id')
  @ApiRoute({
    summary: 'Change a draft, or the words of a paused broadcast',
    description:
      'Of a draft all that is named. Of one that is paused `title`, `template` and `subject`, and nothing else: the mail is taken as it is written now, so naming its template once more takes over what was mended in it. It is checked as at the start; mails that wait, and those put off, go with the new words, and those that have gone or may have keep theirs. Of a split test that is decided these are the words that go to the rest; while one runs its words stay.',
    tag,
    response,
    etag: writtenOfBroadcast,
    ifMatch: true,
    idempotent: false,
    example: { subject: 'What grows in spring', priority: 4 },
    errors: [
      'BROADCAST_NOT_FOUND',
      'BROADCAST_STATE_CONFLICT',
      'BROADCAST_PREFLIGHT_INVALID',
      'BROADCAST_RESEND_INVALID',
      'TEMPLATE_NOT_FOUND',
      'TEMPLATE_INVALID',
      'SEGMENT_NOT_FOUND',
      'FUNNEL_NOT_FOUND',
      'BROADCAST_OFFER_INVALID',
      'BROADCAST_SPLIT_INVALID',
    ],
  })
  async edit(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: broadcastChange }) body: z.output<typeof broadcastChange>,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<unknown> {
    const given = Object.entries(body).filter(([, value]) => value !== undefined);
    const unchanged = unchangedSince<Broadcast>(ifMatch, (now) => writtenOfBroadcast(toJson(now)));
    return reportJson(await this.words.edit(id, Object.fromEntries(given), unchanged));
  }

  @Post(':id/preflight')
  @ApiRoute({
    summary: 'Check a broadcast before it is sent',
    description:
      'Whether anybody would get it now, and why not; variables over all of them, and the mail made with each of their values (50,000 of one variable, for 20 seconds; what lies beyond is said), links, size, text part, sender, mail programs, and what the DNS says of the sender. The start refuses what would reach its readers broken, and a DKIM key that is not the one the DNS publishes. A DNS that does not answer stops nothing.',
    tag,
    response: preflightResponse,
    status: 200,
    idempotent: false,
    errors: ['BROADCAST_NOT_FOUND', 'TEMPLATE_NOT_FOUND', 'TEMPLATE_INVALID', 'SEGMENT_NOT_FOUND'],
  })
  async preflight(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return this.broadcasts.check(id);
  }

  @Post(':id/test')
  @ApiRoute({
    summary: 'Send a broadcast to yourself as a test',
    description:
      'As the first of its readers would get it, with `[Test]` before its subject; of a split test `arm` says which. It goes through the relay like other mails; nothing in it is counted, and links of the reader work for nobody.',
    tag,
    response: testResponse,
    example: { to: 'ada@example.com' },
    errors: ['BROADCAST_NOT_FOUND', 'ARM_NOT_FOUND', 'TEMPLATE_NOT_FOUND', 'TEMPLATE_INVALID'],
  })
  async test(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: broadcastTestRequest }) body: z.output<typeof broadcastTestRequest>,
  ): Promise<unknown> {
    return this.previews.test(id, body);
  }

  @Post(':id/start')
  @ApiRoute({
    summary: 'Start a broadcast: now, at a time, or at the local time of each reader',
    description:
      'Freezes its words now and its audience when it begins: who signs up later does not get it, who has left by then does not either, and whoever wants a pause is passed by. Of a split test the rest of the frozen audience waits for the result; without a winner it gets the first arm. Who is held out of it gets nothing. Arms with an hour of their own need `atLocal`, by the clocks of the readers or by that of `timezone`. A mail that would reach its readers broken (see preflight) is refused before the first one. Repeating it changes nothing.',
    tag,
    response,
    status: 200,
    idempotent: false,
    example: { atLocal: '2026-03-05T09:30', fallbackZone: 'Europe/Vienna' },
    errors: [
      'BROADCAST_NOT_FOUND',
      'BROADCAST_STATE_CONFLICT',
      'BROADCAST_PREFLIGHT_INVALID',
      'BROADCAST_EXPIRY_INVALID',
      'BROADCAST_TIMING_INVALID',
      'TEMPLATE_NOT_FOUND',
      'TEMPLATE_INVALID',
      'SEGMENT_NOT_FOUND',
      'BROADCAST_OFFER_INVALID',
      'BROADCAST_SPLIT_INVALID',
    ],
  })
  async start(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: startBody }) body: z.output<typeof startBody>,
  ): Promise<unknown> {
    return reportJson(await this.broadcasts.start(id, body?.at ?? null, timingOf(body)));
  }

  @Post(':id/resend')
  @ApiRoute({
    summary: 'Write a broadcast that sends this one again, to those who did not open or click',
    description:
      'As a draft with another subject, or another mail. It offers what the first one did, unless `offer` says otherwise; an offer that is off the site by now is left out. Its audience is read at its start: readers who got the first mail and have not opened it (or not clicked), as far as can be seen. Openings by machines are none. Who has left, is suppressed, has bought since or does not want to be tracked is out, and everybody gets it once at most. While mails of the first one wait it is refused, with their number as `waiting`.',
    tag,
    response,
    example: { subject: 'Did you see what grows in spring?', unless: 'opened' },
    errors: [
      'BROADCAST_NOT_FOUND',
      'BROADCAST_STATE_CONFLICT',
      'BROADCAST_WAITING_CONFLICT',
      'BROADCAST_ALREADY_RESENT',
      'BROADCAST_RESEND_INVALID',
      'BROADCAST_OFFER_INVALID',
      'TEMPLATE_NOT_FOUND',
      'TEMPLATE_INVALID',
    ],
  })
  async resend(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: resendBody }) body: z.output<typeof resendBody>,
  ): Promise<unknown> {
    const { subject = null, template = null, title = null, ...rest } = body;
    return reportJson(await this.resends.draft(id, { subject, template, title, ...rest }));
  }

  @Post(':id/unknown/resend')
  @ApiRoute({
    summary: 'Send the mails once more of which it is not known whether they were taken',
    description:
      'One more try each, under the same Message-ID, by which many mail systems drop a second copy; some readers may get it twice. Left out are those of which something has come back, whose end is past, or which were sent once more already; who has left meanwhile gets none. Repeating it sends nothing again. Refused while the broadcast is paused or cancelled.',
    tag,
    response: resentResponse,
    status: 200,
    idempotent: false,
    errors: ['BROADCAST_NOT_FOUND', 'BROADCAST_STATE_CONFLICT'],
  })
  async resendUnknown(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return { resent: await this.unknowns.resend(id) };
  }

  @Post(':id/pause')
  @ApiRoute({
    summary: 'Pause a broadcast',
    tag,
    response,
    status: 200,
    idempotent: false,
    errors: ['BROADCAST_NOT_FOUND', 'BROADCAST_STATE_CONFLICT'],
  })
  async pause(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return reportJson(await this.broadcasts.pause(id));
  }

  @Post(':id/resume')
  @ApiRoute({
    summary: 'Go on with a paused broadcast',
    tag,
    response,
    status: 200,
    idempotent: false,
    errors: ['BROADCAST_NOT_FOUND', 'BROADCAST_STATE_CONFLICT', 'BROADCAST_PREFLIGHT_INVALID'],
  })
  async resume(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return reportJson(await this.broadcasts.resume(id));
  }

  @Post(':id/cancel')
  @ApiRoute({
    summary: 'Cancel a broadcast; what was sent stays sent',
    tag,
    response,
    status: 200,
    idempotent: false,
    errors: ['BROADCAST_NOT_FOUND', 'BROADCAST_STATE_CONFLICT'],
  })
  async cancel(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return reportJson(await this.broadcasts.cancel(id));
  }
}
