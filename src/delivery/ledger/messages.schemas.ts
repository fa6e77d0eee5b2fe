import { z } from 'zod';
import { MESSAGE_STATES } from '../message/message.js';
import { idSchema, pageOf, pageQuery } from '../../infra/http/page.js';

export const messageResponse = z.object({
  id: z.string(),
  kind: z.string(),
  class: z.string(),
  state: z.string(),
  stateReason: z.string().nullable(),
  subscriberId: z.string().nullable(),
  broadcastId: z.string().nullable(),
  funnelKey: z.string().nullable(),
  stepKey: z.string().nullable(),
  template: z.string(),
  messageId: z.string(),
  attempts: z.number(),
  dueAt: z.iso.datetime(),
  acceptedAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
});

export const messagePage = pageOf(messageResponse);
const key = z.string().min(1).max(200);

export const messageQuery = pageQuery
  .extend({
    subscriberId: idSchema.optional().meta({ description: 'Only messages to this subscriber.' }),
    broadcastId: idSchema
      .optional()
      .meta({ description: 'Only messages of this broadcast. Does not go with `funnel` and `step`.' }),
    funnel: key
      .optional()
      .meta({ description: 'Only messages of this funnel’s `step`, which goes with it.' }),
    state: z.enum(MESSAGE_STATES).optional().meta({
      description:
        'Only messages in this state: `held` ones wait for a pause, a split test or your word, of `unknown` ones nobody can say whether they were taken, `rejected` ones were refused for good.',
    }),
    step: key.optional().meta({ description: 'Key of a step of its sequence.' }),
  })
  .refine(({ funnel, step }) => (funnel === undefined) === (step === undefined), {
    path: ['step'],
    message: 'name a funnel and a step, or neither',
  })
  .refine(({ broadcastId, funnel }) => broadcastId === undefined || funnel === undefined, {
    path: ['broadcastId'],
    message: 'no message is of a broadcast and of a step: name one of them',
  });
