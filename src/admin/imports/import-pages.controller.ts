import { Readable } from 'node:stream';
import { Body, Controller, Get, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ExportsService, rejectedOf } from '../../imports/exports.service.js';
import { inTemporaryFile, receiveFile } from '../../imports/import-files.service.js';
import type { ImportJob } from '../../imports/import-job.js';
import { importOptions } from '../../imports/imports.schemas.js';
import { ImportsService, notNow } from '../../imports/imports.service.js';
import { reportCsv } from '../../imports/report-csv.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { sendCsv } from '../../infra/http/send-csv.js';
import { openUpload } from '../../infra/http/upload.js';
import { JustSignedInGuard } from '../access/just-signed-in.guard.js';
import { FieldsService } from '../../subscribers/fields.service.js';
import { ListsService } from '../../subscribers/lists.service.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { headersOf, typedOfMapping, mappingView, readMapping, mappingTypedFrom } from './import-form.js';
import { importView } from './import-view.js';
import { newFieldsIn } from './new-fields.js';
import { checkedId } from '../forms/page-id.schemas.js';
import type { Typed } from '../forms/typed-text.js';

const PAGE_ROWS = 20;
const LOOK_AGAIN_SECONDS = 2;

/** Tables of people on their way in: upload, what the columns are, a dry run, the real one and its report. */
@Controller('admin/imports')
export class ImportPagesController {
  constructor(
    private readonly imports: ImportsService,
    private readonly fields: FieldsService,
    private readonly lists: ListsService,
    private readonly exports: ExportsService,
  ) {}

  @Get()
  async list(@Query('cursor') cursor: string | string[] | undefined): Promise<Answer> {
    const beforeId = cursorOf(cursor);
    return this.showList({ status: 200, beforeId, error: null });
  }

  @Post()
  async upload(@Req() request: FastifyRequest): Promise<Answer> {
    try {
      const id = await this.take(request);
      return new SeeOther(`/admin/imports/${id}`);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return this.showList({ status: 422, beforeId: undefined, error: error.message });
    }
  }

  @Get(':id')
  async show(@Param('id') id: string, @Res({ passthrough: true }) reply: FastifyReply): Promise<Answer> {
    const job = await this.imports.get(checkedId(id, 'import'));
    if (job.state === 'mapping' && job.preview !== null) {
      const typed = typedOfMapping(
        job.preview,
        importOptions.parse(job.options),
        await this.fields.definitions(),
      );
      return this.showMapping({ job, status: 200, typed, errors: {} });
    }
    const view = importView(job);
    // A dry run writes to no row what would become of it, and what of a refused one would be taken is counted as that.
    if (job.dryRun && job.state === 'checked' && (job.advice.onlyNoes ?? 0) > 0)
      view.reported = await this.imports.countReported(job.id);
    if (view.isBusy) reply.header('refresh', String(LOOK_AGAIN_SECONDS));
    return new Page('import', { import: view });
  }

  @Post(':id/begin')
  async begin(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const job = await this.imports.get(checkedId(id, 'import'));
    if (job.state !== 'mapping') throw notNow(job, 'begin');
    const typed = mappingTypedFrom(body);
    const preview = job.preview ?? { tables: [] };
    const definitions = await this.fields.definitions();
    const made = newFieldsIn(typed, headersOf(preview), definitions);
    if (made.problem !== null)
      return this.showMapping({ job, status: 422, typed, errors: { columns: made.problem } });
    const known = {
      definitions: new Map([...definitions, ...made.fields.map((field) => [field.key, field] as const)]),
      lists: await this.lists.keys(),
    };
    const read = readMapping(made.typed, preview, known);
    if (!read.ok) return this.showMapping({ job, status: 422, typed, errors: read.errors });
    try {
      for (const field of made.fields) await this.fields.create(field);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'FIELD_ALREADY_EXISTS') throw error;
      // Somebody has made it since we looked, mostly the other half of a double click: now it is seen.
      return this.begin(id, body);
    }
    await this.imports.begin(id, read);
    return new SeeOther(`/admin/imports/${id}`);
  }

  @Post(':id/:action')
  async act(@Param('id') id: string, @Param('action') action: string): Promise<Answer> {
    checkedId(id, 'import');
    if (action === 'run') await this.imports.runForReal(id);
    else if (action === 'cancel') await this.imports.cancel(id);
    else if (action === 'remap') await this.imports.remap(id);
    else throw new DomainError('IMPORT_NOT_FOUND', 'There is no such import');
    return new SeeOther(`/admin/imports/${id}`);
  }

  @Get(':id/rejected.csv')
  @UseGuards(JustSignedInGuard)
  async rejected(@Param('id') id: string, @Res() reply: FastifyReply): Promise<void> {
    const { source } = await this.imports.get(checkedId(id, 'import'));
    await this.exports.tell('owner', rejectedOf(id));
    await sendCsv(reply, `import-${id}-rejected.csv`, reportCsv(source, this.imports.report(id)));
  }

  /** Makes an import of the file in the form and answers with its id. */
  private async take(request: FastifyRequest): Promise<string> {
    const { body, headers } = request;
    if (!(body instanceof Readable)) throw new DomainError('UPLOAD_INVALID', 'file: choose a file');
    return inTemporaryFile(async (path) => {
      const { fileName, pieces } = await openUpload(body, headers['content-type'] ?? '');
      await receiveFile(Readable.from(pieces), path);
      const named = fileName === '' ? 'import.csv' : fileName;
      const options = importOptions.parse({});
      const { id } = await this.imports.create({ fileName: named, dryRun: true, options });
      await this.imports.keepFile(id, path).catch(async (error: unknown) => {
        await this.imports.cancel(id);
        throw error;
      });
      return id;
    });
  }

  private async showList({
    status,
    beforeId,
    error,
  }: {
    status: number;
    beforeId: string | undefined;
    error: string | null;
  }): Promise<Answer> {
    const rows = await this.imports.page(beforeId, PAGE_ROWS + 1);
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, importView);
    return new Page('imports', { imports: data, nextCursor, error }, status);
  }

  private async showMapping({
    job,
    status,
    ...form
  }: {
    job: ImportJob;
    status: number;
    typed: Typed;
    errors: Record<string, string>;
  }): Promise<Answer> {
    return new Page(
      'import-columns',
      {
        import: importView(job),
        lists: [...(await this.lists.keys())],
        ...mappingView(job, await this.fields.definitions(), form),
      },
      status,
    );
  }
}
