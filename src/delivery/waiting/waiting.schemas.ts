import { z } from 'zod';
import { idSchema } from '../../infra/http/page.js';

export const heldFilter = z.strictObject({
  reason: z.string().min(1).max(500).optional().meta({ description: 'Only mails held for this reason.' }),
  broadcastId: idSchema.optional().meta({ description: 'Only mails of this broadcast.' }),
});
export const releasedResponse = z.object({ released: z.number() });
export const resentResponse = z.object({ resent: z.number().int() });
export const cancelledResponse = z.object({ cancelled: z.number() });
