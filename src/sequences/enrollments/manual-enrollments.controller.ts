import { Body, Controller, Delete, Get, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { idSchema, pageOf, pageQuery, toPage } from '../../infra/http/page.js';
import { emailSchema } from '../../subscribers/subscribers.schemas.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { DomainError } from '../../values/domain-error.js';
import { BulkEnrollmentsService } from './bulk-enrollments.service.js';
import { ManualEnrollmentsService } from './manual-enrollments.service.js';
import { enrollment } from '../sequences.schemas.js';

const step = z.string().min(1).max(60).optional().meta({
  description: 'Key of the step they begin with; its delay counts from now. The first when it is left out.',
});
const enrollBody = z
  .strictObject({
    subscriberId: idSchema.optional(),
    email: emailSchema.optional().meta({ description: 'In place of subscriberId.' }),
    at: step,
    key: z.string().trim().min(1).max(200).optional().meta({
      description: 'Names the event, where the sequence is joined once per event.',
    }),
  })
  .refine(({ subscriberId, email }) => (subscriberId === undefined) !== (email === undefined), {
    path: ['subscriberId'],
    error: 'name the person by subscriberId or by email, one of the two',
  });
const bulkBody = z.strictObject({
  segment: z.string().min(1, 'use the key of a segment').max(60, 'use the key of a segment'),
  at: step,
});
const count = z.number().int();
const bulk = z.object({
  id: z.string(),
  sequenceId: z.string(),
  segment: z.string(),
  at: z.string().nullable(),
  state: z.enum(['running', 'done', 'cancelled', 'failed']),
  reason: z.string().nullable().meta({ description: 'Why it failed.' }),
  counts: z.object({
    enrolled: count,
    notActive: count.meta({ description: 'Without consent at present: nothing happened.' }),
    suppressed: count.meta({ description: 'On the suppression list: nothing happened.' }),
    optedOut: count.meta({ description: 'Do not want mails of this funnel: nothing happened.' }),
    mayNotJoin: count.meta({ description: 'Are or were in it, and may not join again.' }),
  }),
  createdAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
});

const tag = 'enrollments';

/** People whom the owner puts into sequences and takes out of them. */
@Controller('api/v1')
export class ManualEnrollmentsController {
  constructor(
    private readonly enrollments: ManualEnrollmentsService,
    private readonly bulks: BulkEnrollmentsService,
    private readonly subscribers: SubscribersService,
  ) {}

  @Post('sequences/:id/enrollments')
  @ApiRoute({
    summary: 'Put a subscriber into a sequence',
    description:
      'Only who is active, not suppressed and has not opted out of the funnel; and who was in it before only as its reentry allows.',
    tag,
    response: enrollment,
    example: { email: 'ada@example.com', at: 'story' },
    errors: [
      'SEQUENCE_NOT_FOUND',
      'SEQUENCE_CLOSED_CONFLICT',
      'SUBSCRIBER_NOT_FOUND',
      'STEP_NOT_FOUND',
      'SUBSCRIBER_NOT_ACTIVE_CONFLICT',
      'ADDRESS_SUPPRESSED_CONFLICT',
      'TOPIC_OPTED_OUT_CONFLICT',
      'ENROLLMENT_REENTRY_CONFLICT',
    ],
  })
  async add(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: enrollBody }) { subscriberId, email, at, key }: z.output<typeof enrollBody>,
  ): Promise<unknown> {
    await this.enrollments.sequence(id);
    const person =
      subscriberId === undefined
        ? await this.subscribers.findByEmailKey(email?.key ?? '')
        : await this.subscribers.get(subscriberId);
    if (!person)
      throw new DomainError('SUBSCRIBER_NOT_FOUND', 'email: there is no subscriber with this address', {});
    const entryKey = key === undefined ? undefined : `api ${key}`;
    return this.enrollments.add(id, { id: person.id, emailKey: person.emailKey, entryKey }, at);
  }

  @Delete('enrollments/:id')
  @ApiRoute({
    summary: 'Take a subscriber out of a sequence',
    description: 'What was planned for them is not sent. Repeating it changes nothing.',
    tag,
    response: null,
    idempotent: false,
    errors: ['ENROLLMENT_NOT_FOUND'],
  })
  async remove(@Param('id', { schema: idSchema }) id: string): Promise<void> {
    await this.enrollments.remove(id);
  }

  @Post('sequences/:id/bulk-enrollments')
  @ApiRoute({
    summary: 'Put everybody of a segment into a sequence',
    description: 'In the background, as the segment is now; ask the answer’s id how far it has come.',
    tag,
    response: bulk,
    status: 202,
    example: { segment: 'readers' },
    errors: ['SEQUENCE_NOT_FOUND', 'SEQUENCE_CLOSED_CONFLICT', 'SEGMENT_NOT_FOUND', 'STEP_NOT_FOUND'],
  })
  async start(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: bulkBody }) { segment, at }: z.output<typeof bulkBody>,
  ): Promise<unknown> {
    return this.bulks.start(id, segment, at);
  }

  @Get('bulk-enrollments')
  @ApiRoute({ summary: 'List bulk enrollments, newest first', tag, response: pageOf(bulk) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: z.output<typeof pageQuery>): Promise<unknown> {
    return toPage(await this.bulks.list({ beforeId: cursor, limit: limit + 1 }), limit, (row) => row);
  }

  @Get('bulk-enrollments/:id')
  @ApiRoute({
    summary: 'One bulk enrollment, with what it has come to',
    tag,
    response: bulk,
    errors: ['BULK_ENROLLMENT_NOT_FOUND'],
  })
  async one(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return this.bulks.get(id);
  }

  @Post('bulk-enrollments/:id/cancel')
  @ApiRoute({
    summary: 'Stop a bulk enrollment',
    description: 'Who has joined stays in. Repeating it changes nothing.',
    tag,
    response: bulk,
    status: 200,
    idempotent: false,
    errors: ['BULK_ENROLLMENT_NOT_FOUND'],
  })
  async cancel(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    return this.bulks.cancel(id);
  }
}
