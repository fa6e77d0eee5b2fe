import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, pageOf, pageQuery, toPage } from '../infra/http/page.js';
import type { Experiment } from './experiment.js';
import { ExperimentsService } from './experiments.service.js';
import { verdictText } from './results.js';

const TAG = 'experiments';

const experiment = z.object({
  id: z.string(),
  key: z.string(),
  funnelKey: z.string(),
  stepKey: z.string(),
  judge: z.enum(['clicks', 'revenue']),
  paths: z
    .record(z.string(), z.array(z.string()))
    .nullable()
    .meta({ description: 'Where arms are paths of their own: the steps of each that send a mail.' }),
  alpha: z.number(),
  holdout: z
    .number()
    .meta({ description: 'Part of the people that gets nothing at this step, or passes over the paths.' }),
  optimise: z.enum(['thompson']).nullable(),
  cap: z
    .object({ amountMinor: z.number().int(), currency: z.string() })
    .nullable()
    .meta({ description: 'What one person can bring at most, where revenue judges.' }),
  countsAfterSeconds: z
    .number()
    .int()
    .meta({ description: 'How long after coming to the step a person counts.' }),
  startedAt: z.iso.datetime(),
  endsAt: z.iso.datetime(),
  state: z.enum(['running', 'decided']),
  decision: z
    .object({
      kind: z
        .enum(['winner', 'no_winner', 'stopped'])
        .meta({ description: '`stopped`: the owner has ended it, whatever the numbers say.' }),
      arm: z.string().meta({ description: 'What everybody new gets.' }),
      because: z.enum(['horizon', 'sample_ratio', 'guard_rails']).nullable(),
      decidedAt: z.iso.datetime(),
      text: z.string(),
    })
    .nullable(),
});

const group = z.object({
  people: z.number().int(),
  reached: z.number().int().meta({ description: 'Their mail left, or one at least of those of their path.' }),
  counted: z.number().int().meta({ description: 'Their time to act is over.' }),
  acted: z.number().int().meta({ description: 'Of those counted, who clicked or bought.' }),
  total: z.number().meta({ description: 'Clicks, or minor units up to the cap of each person.' }),
  perPerson: z.number(),
  unsubscribes: z.number().int(),
  complaints: z.number().int(),
});

const details = experiment.extend({
  arms: z.array(
    group.extend({
      key: z.string(),
      isControl: z.boolean(),
      isStopped: z.boolean(),
      share: z.number(),
      lift: z
        .object({ low: z.number(), high: z.number().nullable() })
        .nullable()
        .meta({ description: 'How many times as much as the control, valid at every look at once.' }),
      eValue: z.number(),
      pValue: z.number().meta({ description: 'Valid at every look at once.' }),
    }),
  ),
  holdoutGroup: group.nullable(),
  eValueNeeded: z.number(),
  sampleRatio: z.object({ mismatch: z.boolean(), chiSquareP: z.number(), anytimeP: z.number() }),
});

const stopBody = z.strictObject({
  arm: z
    .string({ error: 'use the key of an arm, or null for no winner' })
    .nullable()
    .meta({ description: 'Key of the arm that goes on; null: no winner, the control goes on.' }),
});

@Controller('api/v1/experiments')
export class ExperimentsController {
  constructor(private readonly experiments: ExperimentsService) {}

  @Get()
  @ApiRoute({ summary: 'List split tests, newest first', tag: TAG, response: pageOf(experiment) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: z.output<typeof pageQuery>): Promise<unknown> {
    return toPage(await this.experiments.list({ beforeId: cursor, limit: limit + 1 }), limit, toJson);
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One split test with its results',
    tag: TAG,
    response: details,
    errors: ['EXPERIMENT_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const { results, ...one } = await this.experiments.get(id);
    const { arms, holdout, sampleRatio, eValueNeeded } = results;
    return { ...toJson(one), arms, holdoutGroup: holdout, sampleRatio, eValueNeeded };
  }

  @Post(':id/stop')
  @ApiRoute({
    summary: 'End a split test by hand',
    description: 'Everybody who comes to the step from here on gets the arm; who has one already keeps it.',
    tag: TAG,
    response: details,
    status: 200,
    example: { arm: 'b' },
    errors: ['EXPERIMENT_NOT_FOUND', 'EXPERIMENT_ALREADY_DECIDED', 'EXPERIMENT_ARM_INVALID'],
  })
  async stop(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: stopBody }) { arm }: z.output<typeof stopBody>,
  ): Promise<unknown> {
    await this.experiments.stop(id, arm);
    return this.get(id);
  }
}

function toJson({ terms, verdict, decidedAt, ...row }: Experiment): z.input<typeof experiment> {
  const { id, key, funnelKey, stepKey, startedAt, endsAt } = row;
  const decision =
    verdict === null || decidedAt === null
      ? null
      : {
          kind: verdict.kind,
          arm: verdict.arm,
          because: verdict.kind === 'no_winner' ? verdict.because : null,
          decidedAt: decidedAt.toISOString(),
          text: verdictText(verdict, terms),
        };
  return {
    ...{ id, key, funnelKey, stepKey },
    judge: terms.judge,
    paths: terms.paths ?? null,
    alpha: terms.alpha,
    holdout: terms.holdoutBps / 10_000,
    optimise: terms.optimise === null ? null : 'thompson',
    cap: terms.cap,
    countsAfterSeconds: terms.withinSeconds,
    startedAt: startedAt.toISOString(),
    endsAt: endsAt.toISOString(),
    state: decision === null ? 'running' : 'decided',
    decision,
  };
}
