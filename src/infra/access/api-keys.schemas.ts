import { z } from 'zod';

export const apiKeySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    prefix: z.string().meta({ description: 'The part after `ws_`; tells keys apart, is not secret.' }),
    createdAt: z.iso.datetime(),
    lastUsedAt: z.iso.datetime().nullable().meta({ description: 'Exact to a minute.' }),
    revokedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'ApiKey' });

export const newApiKeySchema = apiKeySchema
  .extend({ key: z.string().meta({ description: 'The whole key. It is not shown again.' }) })
  .meta({ id: 'NewApiKey' });

export const createApiKeySchema = z.strictObject({ name: z.string().trim().min(1).max(100) });

export type ApiKeyJson = z.output<typeof apiKeySchema>;
