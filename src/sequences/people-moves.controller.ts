import { Body, Controller, Inject, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { CLOCK, type Clock } from '../infra/clock.js';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema } from '../infra/http/page.js';
import { durationMs, parseDuration } from '../values/duration.js';
import { PeopleMovesService } from './people-moves.service.js';
import type { MoveMode } from './placement.js';

const stepKey = z.string().min(1).max(60);
const within = z.string().transform((text, context) => {
  try {
    return parseDuration(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'not readable' });
    return z.NEVER;
  }
});

const moveBody = z
  .strictObject({
    mode: z
      .enum(['forward-only', 'catch-up', 're-map'], { error: 'use forward-only, catch-up or re-map' })
      .meta({
        description:
          '`forward-only`: behind the furthest step they have had. `catch-up`: first the steps that were added at places they passed `within` this time. `re-map`: from each step to the one that `steps` names.',
      }),
    within: within.optional().meta({ description: 'With catch-up, such as "7 days".' }),
    steps: z
      .record(stepKey, stepKey)
      .optional()
      .meta({ description: 'With re-map: step of now, step to go to.' }),
    dryRun: z.boolean().default(true).meta({ description: 'True: count and write nothing.' }),
  })
  .refine(({ mode, within: span }) => (mode === 'catch-up') === (span !== undefined), {
    path: ['within'],
    error: 'belongs to catch-up, which needs it',
  })
  .refine(({ mode, steps }) => (mode === 're-map') === (steps !== undefined), {
    path: ['steps'],
    error: 'belongs to re-map, which needs it',
  });

const counted = z.array(z.object({ step: z.string(), people: z.number().int() }));
const moveAnswer = z.object({
  applied: z.boolean(),
  toVersion: z.number().int(),
  people: z.number().int(),
  moves: z.array(
    z.object({ from: z.string().nullable(), to: z.string().nullable(), people: z.number().int() }),
  ),
  stays: z.array(z.object({ reason: z.string(), people: z.number().int() })),
  gains: counted,
  losses: counted,
});

@Controller('api/v1/sequences')
export class PeopleMovesController {
  constructor(
    private readonly moves: PeopleMovesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Post(':id/move-people')
  @ApiRoute({
    summary: 'Take people to the present version of their sequence, or count who would get what',
    description: 'Until then everybody stays in the version they joined. No step comes to anybody twice.',
    tag: 'sequences',
    response: moveAnswer,
    status: 200,
  })
  async move(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: moveBody }) body: z.output<typeof moveBody>,
  ): Promise<z.output<typeof moveAnswer>> {
    const mode = this.modeOf(body);
    if (body.dryRun) return { applied: false, ...(await this.moves.preview(id, mode)) };
    return { applied: true, ...(await this.moves.apply(id, mode)) };
  }

  private modeOf({ mode, within: span, steps }: z.output<typeof moveBody>): MoveMode {
    if (span !== undefined)
      return { kind: 'catch-up', since: new Date(this.clock.now().getTime() - durationMs(span)) };
    return mode === 're-map' ? { kind: 're-map', steps: steps ?? {} } : { kind: 'forward-only' };
  }
}
