import { Body, Controller, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { BROADCAST_STATES } from '../../broadcasts/broadcast-status.js';
import { ApiRoute } from '../../infra/http/api-route.js';
import { applyBody, funnelKey } from '../funnels.schemas.js';
import { startText } from './virtual-broadcasts.schemas.js';
import { dayCount } from './personas.schemas.js';
import { MOST_PEOPLE, SimulationService } from './simulation.service.js';
import type { Simulation } from './timeline.js';
import { money } from '../../infra/http/money.schemas.js';

const simulateBody = z.strictObject({
  yaml: applyBody.shape.yaml.optional().meta({
    description: 'The funnel as it shall be, before it is applied. The one that is there when left out.',
  }),
  personas: z
    .string()
    .max(100_000)
    .optional()
    .meta({
      description: `Who signs up and what they do, as YAML or JSON: the text of a file for "wellspring simulate --personas". At most ${MOST_PEOPLE} people. Some usual ones when left out.`,
    }),
  start: startText.optional().meta({ description: 'Now when neither this nor the personas say it.' }),
  days: dayCount.optional().meta({ description: '90 when neither this nor the personas say it.' }),
});

const count = z.number().int().min(0);

const simulationResponse = z.object({
  funnel: z.string(),
  start: z.string(),
  days: z.number().int(),
  people: z.array(
    z.object({
      persona: z.string(),
      number: z.number().int(),
      timeZone: z.string().nullable(),
      timeline: z.array(z.looseObject({ at: z.iso.datetime(), what: z.string() })),
    }),
  ),
  broadcasts: z.array(
    z.object({
      broadcast: z.string(),
      beganAt: z.iso
        .datetime()
        .nullable()
        .meta({ description: 'Null: it does not begin in the time of the simulation.' }),
      stoppedArms: z
        .array(z.string())
        .meta({ description: 'Arms of its split test that broke a guard rail.' }),
      state: z.enum(BROADCAST_STATES).meta({ description: 'How it stands at the end.' }),
      recipients: count,
      decision: z
        .object({
          at: z.iso.datetime(),
          arm: z.string(),
          verdict: z.enum(['winner', 'no_winner']),
          text: z.string(),
        })
        .nullable(),
    }),
  ),
  summary: z.object({
    people: count,
    mails: count,
    mailsByStep: z.array(z.object({ sequence: z.string().nullable(), step: z.string(), mails: count })),
    purchases: count,
    refunds: count,
    income: z.array(money),
    commissions: z.array(money),
    upsells: z.object({ shown: count, taken: count, declined: count, income: z.array(money) }),
    unsubscribed: count,
    completed: count,
    exited: count,
  }),
});

@Controller('api/v1/funnels')
export class SimulationController {
  constructor(private readonly simulations: SimulationService) {}

  /** Its steps may lead to any other funnel that is there. */
  @Post(':key/simulate')
  @ApiRoute({
    summary: 'Simulate a funnel on a virtual clock',
    description: 'Every mail, wait, branch, offer and payment of invented people. Writes nothing.',
    tag: 'funnels',
    response: simulationResponse,
    status: 200,
    idempotent: false,
    example: { start: '2026-03-02', days: 30 },
    errors: [
      'FUNNEL_NOT_FOUND',
      'FUNNEL_INVALID',
      'FUNNEL_KEY_INVALID',
      'PERSONAS_INVALID',
      'SIMULATION_INVALID',
    ],
  })
  async run(
    @Param('key', { schema: funnelKey }) key: string,
    @Body({ schema: simulateBody }) body: z.output<typeof simulateBody>,
  ): Promise<Simulation> {
    return this.simulations.run(key, body);
  }
}
