import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { ExperimentsService } from '../../experiments/experiments.service.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { experimentView } from './experiment-view.js';
import { z } from 'zod';
import { checkedId } from '../forms/page-id.schemas.js';

/** Each counts its people, which takes a moment for big ones. */
const PAGE_ROWS = 10;

const stopForm = z.object({ arm: z.string() });

/** How the owner's split tests stand. They are written in the funnel file. */
@Controller('admin/experiments')
export class ExperimentPagesController {
  constructor(private readonly experiments: ExperimentsService) {}

  @Get()
  async list(@Query('cursor') cursor: string | string[] | undefined): Promise<Answer> {
    const beforeId = cursorOf(cursor);
    const rows = await this.experiments.list({ beforeId, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, ({ id }) => id);
    const experiments = [];
    for (const id of data) experiments.push(experimentView(await this.experiments.get(id)));
    return new Page('experiments', { experiments, nextCursor });
  }

  /** An arm that is left empty: no winner. */
  @Post(':id/stop')
  async stop(
    @Param('id') id: string,
    @Body({ schema: stopForm }) { arm }: z.output<typeof stopForm>,
  ): Promise<Answer> {
    await this.experiments.stop(checkedId(id, 'experiment'), arm === '' ? null : arm);
    return new SeeOther(`/admin/experiments#experiment-${id}`);
  }
}
