import { z } from 'zod';
import { pageOf } from '../infra/http/page.js';

export const funnelKey = z.string().regex(/^[a-z0-9-]{1,60}$/, 'use the key of a funnel');

export const funnelResponse = z.object({
  key: z.string(),
  title: z.string(),
  version: z.number().int(),
  updatedAt: z.string(),
  definition: z.record(z.string(), z.unknown()),
});

export const funnelList = pageOf(funnelResponse);

export const applyBody = z.strictObject({
  /** The funnel as YAML, the same text as a file in config/funnels. */
  yaml: z.string().max(500_000),
  /** True: answer with the plan and change nothing. */
  dryRun: z.boolean().default(false),
});

export const planResponse = z.object({
  funnel: z.string(),
  applied: z.boolean(),
  changes: z.array(z.object({ sign: z.enum(['+', '~', '-']), object: z.string(), detail: z.string() })),
  words: z.array(z.string()),
});
