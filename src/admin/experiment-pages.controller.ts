import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ExperimentsService } from '../experiments/experiments.service.js';
import { cursorOf, toPage } from '../infra/http/page.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { seeOther, sendPage } from '../infra/http/send-page.js';
import { experimentView } from './experiment-view.js';
import { z } from 'zod';
import { checkedId } from './page-id.schemas.js';
import { OwnerAccess } from './owner-access.service.js';

/** Each counts its people, which takes a moment for big ones. */
const PAGE_ROWS = 10;

const stopForm = z.object({ arm: z.string() });

/** How the owner's split tests stand. They are written in the funnel file. */
@Controller('admin/experiments')
export class ExperimentPagesController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly experiments: ExperimentsService,
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
    const rows = await this.experiments.list({ beforeId, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, ({ id }) => id);
    const experiments = [];
    for (const id of data) experiments.push(experimentView(await this.experiments.get(id)));
    const view = { ...this.access.frame(owner), experiments, nextCursor };
    sendPage(reply, 200, await this.pages.render('admin/experiments', view));
  }

  /** An arm that is left empty: no winner. */
  @Post(':id/stop')
  async stop(
    @Param('id') id: string,
    @Body({ schema: stopForm }) { arm }: z.output<typeof stopForm>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if ((await this.access.requireForPost(request, reply)) === null) return;
    await this.experiments.stop(checkedId(id, 'experiment'), arm === '' ? null : arm);
    await seeOther(reply, `/admin/experiments#experiment-${id}`);
  }
}
