import { z } from 'zod';
import { idSchema } from '../infra/http/page.js';
import type { Explained } from './explain.service.js';

const key = z.string().min(1).max(200);

export const explainQuery = z
  .strictObject({
    subscriberId: idSchema,
    funnel: key.optional().meta({ description: 'Key of the funnel; with `step`.' }),
    step: key.optional().meta({ description: 'Key of a step of its sequence.' }),
    broadcastId: idSchema.optional().meta({ description: 'Instead of funnel and step.' }),
  })
  .refine(
    ({ funnel, step, broadcastId }) =>
      broadcastId === undefined
        ? funnel !== undefined && step !== undefined
        : funnel === undefined && step === undefined,
    { path: ['step'], message: 'name a funnel and a step, or a broadcast' },
  );

export const explanationResponse = z
  .object({
    messageId: z.string().nullable().meta({ description: 'The mail, when there is one.' }),
    decidedBy: z.string().meta({ description: 'Code of the rule that decided.' }),
    answer: z.string(),
    chain: z.array(
      z.object({
        code: z.string(),
        verdict: z.enum(['info', 'passed', 'waits', 'stopped', 'done']),
        text: z.string(),
        at: z.iso.datetime().nullable(),
      }),
    ),
  })
  .meta({ id: 'Explanation' });

export function explanationJson(answer: Explained): z.output<typeof explanationResponse> {
  return { ...answer, chain: answer.chain.map((rule) => ({ ...rule, at: rule.at?.toISOString() ?? null })) };
}
