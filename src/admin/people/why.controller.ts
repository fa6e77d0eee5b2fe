import { Controller, Get, Param, Query } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { ExplainService, type Explained } from '../../analytics/explain.service.js';
import { idSchema } from '../../infra/http/page.js';
import { MailPreviews, type StepPreview } from '../../sequences/previews/mail-previews.service.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { DomainError } from '../../values/domain-error.js';
import { nameOfSent } from './subscriber-pages.queries.js';
import { type Answer, MailFrame, Page } from '../answers/answer.js';

const question = z.union([
  z.object({ message: idSchema }),
  z.object({ broadcast: idSchema }),
  z.object({ funnel: z.string().max(200), step: z.string().max(200) }),
]);
const stepMail = z.object({
  ...{ funnel: z.string().max(200), step: z.string().max(200) },
  arm: z.string().max(200).optional(),
});

type Question = z.output<typeof question>;

/** Why was this (not) sent, for the owner: the same chain of rules as the API answers. */
@Controller('admin/subscribers/:id/why')
export class WhyController {
  constructor(
    private readonly explain: ExplainService,
    private readonly subscribers: SubscribersService,
    private readonly previews: MailPreviews,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  async why(@Param('id') id: string, @Query() query: Record<string, unknown>): Promise<Answer> {
    const asked = question.safeParse(query);
    if (!idSchema.safeParse(id).success || !asked.success)
      throw new DomainError('PAGE_NOT_FOUND', 'There is no such page');
    const subscriber = await this.subscribers.get(id);
    const answer = await this.answer(id, asked.data);
    const what = (await nameOfSent(this.dataSource.manager, asked.data)) ?? 'this';
    const mails = 'step' in asked.data ? await this.mails(id, asked.data) : [];
    const view = { subscriber: { id, email: subscriber.email }, what, answer, mails };
    return new Page('why', { ...view, asked: asked.data });
  }

  /** What the frame on the page shows. */
  @Get('mail')
  async mail(@Param('id') id: string, @Query() query: Record<string, unknown>): Promise<Answer> {
    const asked = stepMail.safeParse(query);
    if (!idSchema.safeParse(id).success || !asked.success)
      throw new DomainError('PAGE_NOT_FOUND', 'There is no such page');
    return new MailFrame((await this.previews.preview({ ...asked.data, subscriberId: id })).html);
  }

  /** Of each arm of its split test. Empty when no mail comes of the step now, or none that could be sent to this person. */
  private async mails(subscriberId: string, asked: { funnel: string; step: string }): Promise<StepPreview[]> {
    try {
      const first = await this.previews.preview({ ...asked, subscriberId });
      const others = first.arms.filter((arm) => arm !== first.arm);
      const more = others.map(async (arm) => this.previews.preview({ ...asked, subscriberId, arm }));
      return [first, ...(await Promise.all(more))];
    } catch (error) {
      if (error instanceof DomainError) return [];
      throw error;
    }
  }

  private async answer(id: string, asked: Question): Promise<Explained> {
    if ('message' in asked) return this.explain.message(asked.message);
    if ('broadcast' in asked) return this.explain.broadcast(id, asked.broadcast);
    return this.explain.step(id, asked.funnel, asked.step);
  }
}
