import { z } from 'zod';

/** What an event of the API is called. */
export const eventName = z
  .string()
  .regex(
    /^[a-z0-9]+([-_.][a-z0-9]+)*$/,
    'use lower-case letters, digits and single hyphens, dots or underscores',
  )
  .max(100);

export const enrollment = z.object({
  id: z.string(),
  sequenceKey: z.string(),
  subscriberId: z.string(),
  status: z.enum(['active', 'completed', 'exited']),
  exitReason: z.string().nullable(),
  stepKey: z.string().nullable(),
  nextAt: z.string().nullable(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
});
