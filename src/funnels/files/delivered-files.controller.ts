import { Readable } from 'node:stream';
import { Controller, Get, Inject, Param, Post, Query, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { DataSource } from 'typeorm';
import type { z } from 'zod';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { FilesService } from '../../infra/files/files.service.js';
import { ApiRoute } from '../../infra/http/api-route.js';
import { toPage } from '../../infra/http/page.js';
import { DomainError } from '../../values/domain-error.js';
import { DeliveredFiles } from './delivered-files.service.js';
import { deliveredFile, fileList, fileListQuery, fileQuery, funnelKey } from '../funnels.schemas.js';

const LINK_MS = 3_600_000;

/** The files of funnels, which no YAML holds: lead magnets and what products deliver. */
@Controller('api/v1')
export class DeliveredFilesController {
  constructor(
    private readonly dataSource: DataSource,
    private readonly files: FilesService,
    private readonly delivered: DeliveredFiles,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Post('files')
  @ApiRoute({
    summary: 'Send a file that funnels deliver',
    description:
      'The body is the file, of at most 2 GiB. Its id goes into `files` of the request that applies the funnel; nothing is delivered before. The same bytes under the same name have the same id.',
    tag: 'files',
    response: deliveredFile,
    consumes: 'application/octet-stream',
    idempotent: false,
    errors: ['FILE_INVALID', 'FILE_TOO_LARGE'],
  })
  async send(
    @Query({ schema: fileQuery }) { name }: z.output<typeof fileQuery>,
    @Req() request: FastifyRequest,
  ): Promise<unknown> {
    const { body } = request;
    if (!(body instanceof Readable))
      throw new DomainError('FILE_INVALID', 'file: send the bytes as application/octet-stream', {
        field: 'file',
      });
    return this.files.receive(this.dataSource.manager, body, name);
  }

  @Get('funnels/:key/files')
  @ApiRoute({
    summary: 'List the files of a funnel, each with a link to it',
    description: 'By name. With the export of the funnel it is all that another installation needs.',
    tag: 'funnels',
    response: fileList,
    errors: ['FUNNEL_NOT_FOUND'],
  })
  async list(
    @Param('key', { schema: funnelKey }) key: string,
    @Query({ schema: fileListQuery }) { cursor, limit }: z.output<typeof fileListQuery>,
  ): Promise<unknown> {
    const files = await this.delivered.ofFunnel(this.dataSource.manager, key);
    const until = new Date(this.clock.now().getTime() + LINK_MS);
    const behind = files
      .map((one) => ({ id: one.name, ...one }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .filter(({ id }) => cursor === undefined || id > cursor);
    return toPage(behind.slice(0, limit + 1), limit, ({ name, file }) => ({
      name,
      ...file,
      url: this.files.downloadUrl(file.id, until),
    }));
  }
}
