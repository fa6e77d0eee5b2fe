import { Readable } from 'node:stream';
import { Body, Controller, Get, Param, Post, Put, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { callerOf, ENVIRONMENT_KEY_ID } from '../infra/access/caller.js';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, type Page, pageOf, pageQuery, type PageQuery, toPage } from '../infra/http/page.js';
import { sendCsv } from '../infra/http/send-csv.js';
import { DomainError } from '../values/domain-error.js';
import { ExportsService, rejectedOf } from './exports.service.js';
import { inTemporaryFile, receiveFile } from './import-files.service.js';
import type { ImportJob } from './import-job.js';
import { createImport, importJson, type ImportJson, importSchema } from './imports.schemas.js';
import { ImportsService } from './imports.service.js';
import { reportCsv } from './report-csv.js';

const TAG = 'imports';

@Controller('api/v1/imports')
export class ImportsController {
  constructor(
    private readonly imports: ImportsService,
    private readonly exports: ExportsService,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List imports, newest first', tag: TAG, response: pageOf(importSchema) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: PageQuery): Promise<Page<ImportJson>> {
    return toPage(await this.imports.page(cursor, limit + 1), limit, importJson);
  }

  @Post()
  @ApiRoute({
    summary: 'Import subscribers from a table',
    description:
      'With `csv` the rows are taken at once; else the import waits for its file. The rows become subscribers in the background.',
    tag: TAG,
    response: importSchema,
    example: {
      fileName: 'people.csv',
      dryRun: true,
      options: { columns: { Mail: 'email', 'First name': 'name' }, tags: ['old list'] },
      csv: 'Mail,First name\nada@example.com,Ada\n',
    },
    errors: ['IMPORT_FILE_INVALID', 'IMPORT_FILE_TOO_LARGE'],
  })
  async create(@Body({ schema: createImport }) body: z.output<typeof createImport>): Promise<ImportJson> {
    const { csv, ...job } = body;
    const made = await this.imports.create(job);
    if (csv === undefined) return importJson(made);
    return importJson(await this.take(made.id, Readable.from([Buffer.from(csv)])));
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One import, with its progress',
    tag: TAG,
    response: importSchema,
    errors: ['IMPORT_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<ImportJson> {
    return importJson(await this.imports.get(id));
  }

  @Put(':id/file')
  @ApiRoute({
    summary: 'Send the table of an import',
    description:
      'Text with delimiters in UTF-8, UTF-16 or Windows-1252, or a ZIP archive of such tables (`application/zip`), as Mailchimp exports it; up to 1 GiB unpacked.',
    tag: TAG,
    response: importSchema,
    consumes: 'text/csv',
    idempotent: false,
    errors: ['IMPORT_NOT_FOUND', 'IMPORT_STATE_CONFLICT', 'IMPORT_FILE_INVALID', 'IMPORT_FILE_TOO_LARGE'],
  })
  async file(
    @Param('id', { schema: idSchema }) id: string,
    @Req() request: FastifyRequest,
  ): Promise<ImportJson> {
    const { body } = request;
    await this.imports.get(id);
    if (!(body instanceof Readable))
      throw new DomainError('IMPORT_FILE_INVALID', 'file: send the table as text/csv or application/zip', {
        field: 'file',
      });
    return importJson(await this.take(id, body));
  }

  @Post(':id/run')
  @ApiRoute({
    summary: 'Run for real what a dry run has counted',
    tag: TAG,
    response: importSchema,
    status: 200,
    errors: ['IMPORT_NOT_FOUND', 'IMPORT_STATE_CONFLICT'],
  })
  async run(@Param('id', { schema: idSchema }) id: string): Promise<ImportJson> {
    return importJson(await this.imports.runForReal(id));
  }

  @Post(':id/cancel')
  @ApiRoute({
    summary: 'Stop an import',
    description: 'Who was taken stays.',
    tag: TAG,
    response: importSchema,
    status: 200,
    errors: ['IMPORT_NOT_FOUND', 'IMPORT_STATE_CONFLICT'],
  })
  async cancel(@Param('id', { schema: idSchema }) id: string): Promise<ImportJson> {
    return importJson(await this.imports.cancel(id));
  }

  @Get(':id/rejected')
  @ApiRoute({
    summary: 'The rows that came to nothing, with line and reason',
    description:
      'As a table that spreadsheets cannot execute. Kept for 30 days. The owner is told who took it along.',
    tag: TAG,
    response: z.string(),
    produces: 'text/csv',
    errors: ['IMPORT_NOT_FOUND'],
  })
  async rejected(
    @Param('id', { schema: idSchema }) id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const job = await this.imports.get(id);
    await this.exports.tell({ apiKeyId: callerOf(request) ?? ENVIRONMENT_KEY_ID }, rejectedOf(id));
    await sendCsv(reply, `import-${id}-rejected.csv`, reportCsv(job.source, this.imports.report(id)));
  }

  private async take(id: string, body: Readable): Promise<ImportJob> {
    return inTemporaryFile(async (path) => {
      await receiveFile(body, path);
      return this.imports.takeFile(id, path);
    });
  }
}
