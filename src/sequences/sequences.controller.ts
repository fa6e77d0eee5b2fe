import { Controller, Get, Param, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, pageOf, pageQuery, toPage } from '../infra/http/page.js';
import { notFound } from '../values/not-found.js';
import { enrollment } from './sequences.schemas.js';
import { SequencesService } from './sequences.service.js';

const sequence = z.object({
  id: z.string(),
  key: z.string(),
  funnelKey: z.string(),
  title: z.string(),
  version: z.number().int(),
  active: z.number().int().meta({ description: 'People who are in it now.' }),
  updatedAt: z.iso.datetime(),
});

const enrollmentQuery = pageQuery.extend({ subscriberId: idSchema.optional() });

@Controller('api/v1')
export class SequencesController {
  constructor(private readonly sequences: SequencesService) {}

  @Get('sequences')
  @ApiRoute({ summary: 'List sequences', tag: 'sequences', response: pageOf(sequence) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: z.output<typeof pageQuery>): Promise<unknown> {
    return toPage(await this.sequences.list({ beforeId: cursor, limit: limit + 1 }), limit, (row) => row);
  }

  @Get('sequences/:id')
  @ApiRoute({ summary: 'One sequence', tag: 'sequences', response: sequence, errors: ['SEQUENCE_NOT_FOUND'] })
  async sequence(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const [row] = await this.sequences.list({ id, limit: 1 });
    if (!row) throw notFound('sequence', id);
    return row;
  }

  @Get('enrollments')
  @ApiRoute({ summary: 'List enrollments, newest first', tag: 'enrollments', response: pageOf(enrollment) })
  async enrollments(
    @Query({ schema: enrollmentQuery }) { cursor, limit, subscriberId }: z.output<typeof enrollmentQuery>,
  ): Promise<unknown> {
    const rows = await this.sequences.enrollments({ subscriberId, beforeId: cursor, limit: limit + 1 });
    return toPage(rows, limit, (row) => row);
  }

  @Get('enrollments/:id')
  @ApiRoute({
    summary: 'One enrollment',
    tag: 'enrollments',
    response: enrollment,
    errors: ['ENROLLMENT_NOT_FOUND'],
  })
  async enrollment(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const [row] = await this.sequences.enrollments({ id, limit: 1 });
    if (!row) throw notFound('enrollment', id);
    return row;
  }
}
