import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { offerSnapshot } from '../publish/offer-snapshot.js';
import type { FunnelEmailStep } from '../schemas/step.schemas.js';
import { DAY_MS } from '../../values/time-units.js';

/** The sample, less what this funnel does not have, with the offer that the step makes. */
export function dataOf(
  definition: FunnelDefinition,
  { download, ...sample }: Record<string, unknown>,
  step: FunnelEmailStep | undefined,
  now: Date,
): Record<string, unknown> {
  const hasMagnet = definition.form.leadMagnet !== undefined && download !== undefined;
  const data = { ...sample, ...(hasMagnet ? { download } : {}) };
  const offer = step?.offer === undefined ? undefined : offerSnapshot(definition, step.offer);
  if (offer === undefined) return data;
  const endsAt =
    step?.deadline === undefined ? {} : { expiresAt: new Date(now.getTime() + DAY_MS).toISOString() };
  return { ...data, offer: { ...offer, ...endsAt } };
}
