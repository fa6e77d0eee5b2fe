import { Controller, Get, Post, Query, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { fileSizeText } from '../../infra/files/file-size.js';
import { FilesService } from '../../infra/files/files.service.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { FileUploads } from './file-uploads.service.js';

const PAGE_ROWS = 50;

/** Files that funnels promise and sell: taken in here, named by the text of a funnel as `files/NAME`. */
@Controller('admin/files')
export class FilePagesController {
  constructor(
    private readonly files: FilesService,
    private readonly uploads: FileUploads,
  ) {}

  @Get()
  async list(@Query('cursor') cursor: string | string[] | undefined): Promise<Answer> {
    return this.show(cursorOf(cursor), null);
  }

  @Post()
  async upload(@Req() request: FastifyRequest): Promise<Answer> {
    try {
      await this.uploads.take(request);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return this.show(undefined, error.message.replace(/^file: /, ''));
    }
    return new SeeOther('/admin/files');
  }

  private async show(beforeId: string | undefined, error: string | null): Promise<Answer> {
    const rows = await this.files.page(beforeId, PAGE_ROWS + 1);
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, ({ fileName, sizeBytes, createdAt }) => ({
      ...{ fileName, createdAt, size: fileSizeText(sizeBytes) },
    }));
    return new Page('files', { files: data, nextCursor, error }, error === null ? 200 : 422);
  }
}
