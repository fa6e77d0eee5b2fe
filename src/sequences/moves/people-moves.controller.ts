import { Body, Controller, Inject, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { ApiRoute } from '../../infra/http/api-route.js';
import { idSchema } from '../../infra/http/page.js';
import { moveChoiceShape, moveModeOf, movePreviewShape, withChoiceRules } from './people-moves.schemas.js';
import { PeopleMovesService } from './people-moves.service.js';

const moveBody = withChoiceRules(
  z.strictObject({
    ...moveChoiceShape,
    dryRun: z.boolean().default(true).meta({ description: 'True: count and write nothing.' }),
  }),
);

const moveAnswer = z.object({
  applied: z.boolean(),
  toVersion: z.number().int(),
  ...movePreviewShape,
  overtaken: z.boolean().meta({
    description:
      'True: another version became the present one meanwhile. Who was not moved yet stays where they were; call again.',
  }),
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
    example: { mode: 'catch-up', within: '7 days', dryRun: true },
    errors: ['SEQUENCE_NOT_FOUND', 'STEP_NOT_FOUND'],
  })
  async move(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: moveBody }) body: z.output<typeof moveBody>,
  ): Promise<z.output<typeof moveAnswer>> {
    const mode = moveModeOf(body, this.clock.now());
    if (body.dryRun) return { applied: false, ...(await this.moves.preview(id, mode)), overtaken: false };
    return { applied: true, ...(await this.moves.apply(id, mode)) };
  }
}
