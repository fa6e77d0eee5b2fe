import type { CommissionRates } from '../../affiliates/commission.js';
import type { Attribution } from '../../affiliates/touch.js';
import { parseDuration, type Duration } from '../../values/duration.js';
import { parsePercentBps } from '../../values/money.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';

/** What the funnel pays its affiliates; null: nothing. */
export function termsOf({
  affiliates,
}: FunnelDefinition):
  (CommissionRates & { hold: Duration; cookie: Duration; attribution: Attribution }) | null {
  if (affiliates === undefined) return null;
  return {
    commissionBps: parsePercentBps(affiliates.commission),
    secondTierBps: parsePercentBps(affiliates.secondTier),
    hold: parseDuration(affiliates.hold),
    cookie: parseDuration(affiliates.cookie),
    attribution: affiliates.attribution ?? 'last',
  };
}
