import { z } from 'zod';
import { idSchema, pageOf, pageQuery } from '../../infra/http/page.js';

export const messageResponse = z.object({
  id: z.string(),
  kind: z.string(),
  class: z.string(),
  state: z.string(),
  stateReason: z.string().nullable(),
  subscriberId: z.string().nullable(),
  funnelKey: z.string().nullable(),
  stepKey: z.string().nullable(),
  template: z.string(),
  messageId: z.string(),
  attempts: z.number(),
  dueAt: z.string(),
  acceptedAt: z.string().nullable(),
  createdAt: z.string(),
});

export const messagePage = pageOf(messageResponse);
export const messageQuery = pageQuery.extend({
  subscriberId: idSchema.optional().meta({ description: 'Only messages to this subscriber.' }),
});
