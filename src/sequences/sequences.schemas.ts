import { z } from 'zod';
import { EVENT_NAME, EVENT_NAME_RULE } from '../subscribers/event-name.js';

/** What an event of the API is called. */
export const eventName = z.string().regex(EVENT_NAME, EVENT_NAME_RULE);

export const enrollment = z.object({
  id: z.string(),
  sequenceKey: z.string(),
  subscriberId: z.string(),
  status: z.enum(['active', 'completed', 'exited']),
  exitReason: z.string().nullable(),
  stepKey: z.string().nullable(),
  nextAt: z.iso.datetime().nullable(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
});
