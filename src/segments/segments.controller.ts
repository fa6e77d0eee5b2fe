import { Body, Controller, Delete, Get, Headers, Param, Patch, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { unchangedSince } from '../infra/http/etag.js';
import { idSchema, type Page, pageOf, pageQuery, type PageQuery, toPage } from '../infra/http/page.js';
import {
  objectKey,
  subscriberJson,
  type SubscriberJson,
  subscriberPage,
} from '../subscribers/subscribers.schemas.js';
import { conditionSchema } from './condition.js';
import type { Segment } from './segment.js';
import { SegmentsService } from './segments.service.js';

const title = z.string().trim().min(1).max(200);

const segmentSchema = z
  .object({
    id: z.string(),
    key: z.string(),
    title: z.string(),
    conditions: z.record(z.string(), z.unknown()),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Segment' });

const createSegment = z.strictObject({ key: objectKey, title, conditions: conditionSchema });
const updateSegment = z
  .strictObject({ title: title.optional(), conditions: conditionSchema.optional() })
  .refine((change) => Object.keys(change).length > 0, 'name title or conditions');
const previewBody = z.strictObject({ conditions: conditionSchema });
const size = z.object({ count: z.number().int().meta({ description: 'Subscribers who belong to it now.' }) });

const CONDITIONS = {
  all: [
    { status: ['active'] },
    { opened: { withinDays: 30 } },
    { not: { purchased: { product: 'launch-kit' } } },
  ],
};

type SegmentJson = z.output<typeof segmentSchema>;

const written = (segment: SegmentJson): unknown => segment;

@Controller('api/v1/segments')
export class SegmentsController {
  constructor(private readonly segments: SegmentsService) {}

  @Get()
  @ApiRoute({ summary: 'List segments', tag: 'segments', response: pageOf(segmentSchema) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: PageQuery): Promise<Page<SegmentJson>> {
    return toPage(await this.segments.page(cursor, limit + 1), limit, segmentJson);
  }

  @Post()
  @ApiRoute({
    summary: 'Make a segment',
    tag: 'segments',
    response: segmentSchema,
    example: { key: 'readers', title: 'Readers who have not bought', conditions: CONDITIONS },
    errors: ['SEGMENT_ALREADY_EXISTS', 'SEGMENT_CONDITIONS_INVALID'],
  })
  async create(@Body({ schema: createSegment }) body: z.output<typeof createSegment>): Promise<SegmentJson> {
    return segmentJson(await this.segments.create(body));
  }

  @Post('count')
  @ApiRoute({
    summary: 'Count who meets conditions',
    description: 'Without keeping them: what a segment would hold.',
    tag: 'segments',
    response: size,
    status: 200,
    idempotent: false,
    example: { conditions: CONDITIONS },
    errors: ['SEGMENT_CONDITIONS_INVALID'],
  })
  async preview(
    @Body({ schema: previewBody }) { conditions }: z.output<typeof previewBody>,
  ): Promise<z.output<typeof size>> {
    await this.segments.check(conditions);
    return { count: await this.segments.count(conditions) };
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One segment',
    tag: 'segments',
    response: segmentSchema,
    etag: written,
    errors: ['SEGMENT_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<SegmentJson> {
    return segmentJson(await this.segments.get(id));
  }

  @Patch(':id')
  @ApiRoute({
    summary: 'Change a segment',
    tag: 'segments',
    response: segmentSchema,
    etag: written,
    ifMatch: true,
    example: { title: 'Readers, not buyers' },
    errors: ['SEGMENT_NOT_FOUND', 'SEGMENT_CONDITIONS_INVALID'],
  })
  async update(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: updateSegment }) body: z.output<typeof updateSegment>,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<SegmentJson> {
    return segmentJson(await this.segments.update(id, body, unchangedSince(ifMatch, segmentJson)));
  }

  @Delete(':id')
  @ApiRoute({
    summary: 'Remove a segment',
    tag: 'segments',
    response: null,
    ifMatch: true,
    errors: ['SEGMENT_NOT_FOUND', 'SEGMENT_IN_USE_CONFLICT'],
  })
  async remove(
    @Param('id', { schema: idSchema }) id: string,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    await this.segments.remove(id, unchangedSince(ifMatch, segmentJson));
  }

  @Get(':id/count')
  @ApiRoute({
    summary: 'Count who belongs to a segment',
    tag: 'segments',
    response: size,
    errors: ['SEGMENT_NOT_FOUND'],
  })
  async count(@Param('id', { schema: idSchema }) id: string): Promise<z.output<typeof size>> {
    return { count: await this.segments.count((await this.segments.get(id)).conditions) };
  }

  @Get(':id/subscribers')
  @ApiRoute({
    summary: 'Who belongs to a segment, newest first',
    tag: 'segments',
    response: subscriberPage,
    errors: ['SEGMENT_NOT_FOUND'],
  })
  async people(
    @Param('id', { schema: idSchema }) id: string,
    @Query({ schema: pageQuery }) { cursor, limit }: PageQuery,
  ): Promise<Page<SubscriberJson>> {
    const { conditions } = await this.segments.get(id);
    const rows = await this.segments.people(conditions, { beforeId: cursor, limit: limit + 1 });
    return toPage(rows, limit, subscriberJson);
  }
}

function segmentJson({ createdAt, updatedAt, ...segment }: Segment): SegmentJson {
  return { ...segment, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}
