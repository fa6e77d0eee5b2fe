import { z } from 'zod';

/** What an event of the API is called. */
export const eventName = z
  .string()
  .regex(
    /^[a-z0-9]+([-_.][a-z0-9]+)*$/,
    'use lower-case letters, digits and single hyphens, dots or underscores',
  )
  .max(100);
