import { Body, Controller, Get, Param, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { FunnelArchive } from '../../funnels/archive/funnel-archive.service.js';
import { FunnelsService } from '../../funnels/funnels.service.js';
import { DomainError } from '../../values/domain-error.js';
import { ownerOf } from '../access/owner-of-request.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { typedTexts } from '../forms/typed-text.js';

/** A funnel is put away, or brought back. */
@Controller('admin/funnels/:key')
export class FunnelArchivePagesController {
  constructor(
    private readonly funnels: FunnelsService,
    private readonly archives: FunnelArchive,
  ) {}

  @Get('archive')
  async ask(@Param('key') key: string): Promise<Answer> {
    const { title, peopleAfter } = await this.funnels.get(key);
    return new Page('funnel-archive', {
      ...{ key, name: title, peopleAfter },
      ...(await this.archives.concerns(key)),
    });
  }

  @Post('archive')
  async archive(
    @Param('key') key: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ): Promise<Answer> {
    const people = typedTexts(body, 10)('people') === 'finish' ? 'finish' : 'end';
    await this.archives.archive(key, { people, by: ownerOf(request)?.email ?? 'owner' });
    return new SeeOther(`/admin/funnels/${key}`);
  }

  @Post('unarchive')
  async unarchive(@Param('key') key: string): Promise<Answer> {
    try {
      await this.archives.unarchive(key);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'FUNNEL_UNARCHIVE_CONFLICT') throw error;
      const { title, peopleAfter } = await this.funnels.get(key);
      const view = { key, name: title, peopleAfter, ...(await this.archives.concerns(key)) };
      return new Page('funnel-archive', { ...view, refused: error.message }, 409);
    }
    return new SeeOther(`/admin/funnels/${key}`);
  }
}
