import { Readable } from 'node:stream';
import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { inTemporaryFile, receiveFile } from '../imports/import-files.service.js';
import type { ImportJob } from '../imports/import-job.js';
import { importOptions } from '../imports/imports.schemas.js';
import { ImportsService } from '../imports/imports.service.js';
import { reportCsv } from '../imports/report-csv.js';
import { cursorOf, toPage } from '../infra/http/page.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendCsv } from '../infra/http/send-csv.js';
import { seeOther, sendPage } from '../infra/http/send-page.js';
import { openUpload } from '../infra/http/upload.js';
import { FieldsService } from '../subscribers/fields.service.js';
import { ListsService } from '../subscribers/lists.service.js';
import { DomainError } from '../values/domain-error.js';
import { mappingView, readMapping, type Typed, typedFrom, typedOf } from './import-form.js';
import { importView } from './import-view.js';
import { OwnerAccess } from './owner-access.service.js';
import type { Owner } from './owner.service.js';
import { checkedId } from './page-id.schemas.js';

const PAGE_ROWS = 20;
const LOOK_AGAIN_SECONDS = 2;

/** Tables of people on their way in: upload, what the columns are, a dry run, the real one and its report. */
@Controller('admin/imports')
export class ImportPagesController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly imports: ImportsService,
    private readonly fields: FieldsService,
    private readonly lists: ListsService,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async list(
    @Query('cursor') cursor: string | string[] | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const beforeId = cursorOf(cursor);
    await this.showList(reply, owner, { status: 200, beforeId, error: null });
  }

  @Post()
  async upload(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const owner = await this.access.requireForPost(request, reply);
    if (owner === null) return;
    try {
      const id = await this.take(request);
      await seeOther(reply, `/admin/imports/${id}`);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      await this.showList(reply, owner, { status: 422, beforeId: undefined, error: error.message });
    }
  }

  @Get(':id')
  async show(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const job = await this.imports.get(checkedId(id, 'import'));
    if (job.state === 'mapping' && job.preview !== null) {
      const typed = typedOf(job.preview, importOptions.parse(job.options), await this.fields.definitions());
      return this.showMapping(reply, owner, { job, status: 200, typed, errors: {} });
    }
    const view = importView(job);
    if (view.isBusy) reply.header('refresh', String(LOOK_AGAIN_SECONDS));
    const html = await this.pages.render('admin/import', { ...this.access.frame(owner), import: view });
    sendPage(reply, 200, html);
  }

  @Post(':id/begin')
  async begin(
    @Param('id') id: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.requireForPost(request, reply);
    if (owner === null) return;
    const job = await this.imports.get(checkedId(id, 'import'));
    const typed = typedFrom(body);
    const known = { definitions: await this.fields.definitions(), lists: await this.lists.keys() };
    const read = readMapping(typed, job.preview ?? { tables: [] }, known);
    if (!read.ok) return this.showMapping(reply, owner, { job, status: 422, typed, errors: read.errors });
    await this.imports.begin(id, read);
    await seeOther(reply, `/admin/imports/${id}`);
  }

  @Post(':id/:action')
  async act(
    @Param('id') id: string,
    @Param('action') action: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if ((await this.access.requireForPost(request, reply)) === null) return;
    checkedId(id, 'import');
    if (action === 'run') await this.imports.runForReal(id);
    else if (action === 'cancel') await this.imports.cancel(id);
    else if (action === 'remap') await this.imports.remap(id);
    else throw new DomainError('IMPORT_NOT_FOUND', 'There is no such import');
    await seeOther(reply, `/admin/imports/${id}`);
  }

  @Get(':id/rejected.csv')
  async rejected(
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if ((await this.access.require(request, reply)) === null) return;
    const { source } = await this.imports.get(checkedId(id, 'import'));
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

  private async showList(
    reply: FastifyReply,
    owner: Owner,
    { status, beforeId, error }: { status: number; beforeId: string | undefined; error: string | null },
  ): Promise<void> {
    const rows = await this.imports.page(beforeId, PAGE_ROWS + 1);
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, importView);
    const view = { ...this.access.frame(owner), imports: data, nextCursor, error };
    sendPage(reply, status, await this.pages.render('admin/imports', view));
  }

  private async showMapping(
    reply: FastifyReply,
    owner: Owner,
    {
      job,
      status,
      ...form
    }: { job: ImportJob; status: number; typed: Typed; errors: Record<string, string> },
  ): Promise<void> {
    const html = await this.pages.render('admin/import-columns', {
      ...this.access.frame(owner),
      import: importView(job),
      lists: [...(await this.lists.keys())],
      ...mappingView(job, await this.fields.definitions(), form),
    });
    sendPage(reply, status, html);
  }
}
