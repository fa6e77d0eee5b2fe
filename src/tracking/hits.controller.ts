import { Controller, Get, Post, Query } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, type Page, pageOf, pageQuery, toPage } from '../infra/http/page.js';
import { type ListedHit, listHits } from './hit-list.queries.js';
import { HIT_RULE_VERSION } from './hit-class.js';
import { VerdictsService } from './verdicts.service.js';

const kind = z.enum(['open', 'click']);
const hitClass = z.enum(['human', 'proxy', 'scanner', 'unknown']).meta({
  description:
    '`proxy`: a mail service or browser fetched it ahead on behalf of a person; `scanner`: a program looked at it for ' +
    'itself; `unknown`: no sign either way, or a click that has not waited out its moment yet.',
});
const verdict = z.object({ class: hitClass, reason: z.string(), ruleVersion: z.number().int() });

const eventSchema = verdict
  .extend({
    id: z.string(),
    kind,
    messageId: z.string(),
    subscriberId: z.string().nullable(),
    linkId: z.string().nullable(),
    url: z.string().nullable().meta({ description: 'Where the link leads, as the template has it.' }),
    settled: z.boolean().meta({ description: 'False while more hits may still change the verdict.' }),
    earlier: z.array(verdict).meta({ description: 'Verdicts that were replaced, oldest first.' }),
    userAgent: z.string().nullable(),
    at: z.iso.datetime(),
  })
  .meta({ id: 'Event' });

const eventQuery = pageQuery.extend({
  messageId: idSchema.optional(),
  subscriberId: idSchema.optional(),
  class: hitClass.optional(),
  kind: kind.optional(),
});

/** Opens and clicks, each with who is thought to stand behind it and why. */
@Controller('api/v1/events')
export class HitsController {
  constructor(
    private readonly dataSource: DataSource,
    private readonly verdicts: VerdictsService,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List opens and clicks', tag: 'events', response: pageOf(eventSchema) })
  async list(
    @Query({ schema: eventQuery }) query: z.output<typeof eventQuery>,
  ): Promise<Page<z.output<typeof eventSchema>>> {
    const { cursor, limit, messageId, subscriberId, class: onlyClass, kind: onlyKind } = query;
    const rows = await listHits(this.dataSource.manager, {
      ...{ beforeId: cursor, limit: limit + 1, messageId, subscriberId },
      ...{ class: onlyClass, kind: onlyKind },
    });
    return toPage(rows, limit, eventJson);
  }

  @Post('reclassify')
  @ApiRoute({
    summary: 'Judge opens and clicks of earlier rules again',
    description:
      'Happens by itself after an upgrade that changes the rules. It runs in the background; earlier verdicts stay with ' +
      'each event.',
    tag: 'events',
    response: z.object({ ruleVersion: z.number().int() }),
    status: 202,
    idempotent: false,
  })
  async reclassify(): Promise<{ ruleVersion: number }> {
    await this.verdicts.startReclassification();
    return { ruleVersion: HIT_RULE_VERSION };
  }
}

function eventJson(row: ListedHit): z.output<typeof eventSchema> {
  const { settlesAt, earlier, at, ...rest } = row;
  return { ...rest, settled: settlesAt === null, earlier: earlier ?? [], at: at.toISOString() };
}
