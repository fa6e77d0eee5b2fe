import { z } from 'zod';

/** Money as the API says it. */
export const money = z.object({ amountMinor: z.number().int(), currency: z.string() });
