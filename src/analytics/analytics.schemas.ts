import { z } from 'zod';
import type { FunnelHeadline, FunnelReport } from './analytics.service.js';
import type { Period } from './period.js';
import { money } from '../infra/http/money.schemas.js';
import { pageOf, pageQuery } from '../infra/http/page.js';

const rate = z.number().min(0).max(1).nullable();
const count = z.number().int().min(0);

const instant = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()], {
    error: 'use a date such as 2026-03-01, or an instant such as 2026-03-01T09:00:00Z',
  })
  .transform((text) => new Date(text));

const ends = {
  from: instant.optional().meta({ description: 'Start, inside the period. A date is its midnight in UTC.' }),
  to: instant.optional().meta({ description: 'End, outside the period. A date is its midnight in UTC.' }),
};
const inOrder = ({ from, to }: { from?: Date | undefined; to?: Date | undefined }): boolean =>
  from === undefined || to === undefined || from < to;
const LATER = { path: ['to'], error: 'use a time after from' };

export const periodQuery = z.strictObject(ends).refine(inOrder, LATER);
export const headlinesQuery = pageQuery.extend(ends).refine(inOrder, LATER);

export type PeriodQuery = z.output<typeof periodQuery>;

export const funnelKeyParam = z.string().regex(/^[a-z0-9-]{1,60}$/, 'use the key of a funnel');

const headline = z.object({
  funnel: z.string(),
  title: z.string(),
  visitors: count,
  signUps: count,
  confirmed: count,
  offerViews: count,
  orders: count.meta({ description: 'Paid in the period, those refunded since included; without upsells.' }),
  refunds: count.meta({ description: 'Of the orders, those refunded whole.' }),
  revenue: money.meta({ description: "Without what was refunded, in the funnel's own currency." }),
  revenues: z.array(money).meta({ description: 'One amount for each currency.' }),
  rates: z.object({
    signUp: rate.meta({ description: 'Sign-ups of visitors; null when there is nothing to divide by.' }),
    confirmation: rate,
    offerView: rate,
    order: rate,
    visitorToOrder: rate,
  }),
});

const period = z.object({ from: z.string().nullable(), to: z.string().nullable() });

export const funnelReportResponse = headline.extend({
  period,
  steps: z.array(
    z.object({
      key: z.string(),
      kind: z.string(),
      template: z.string().nullable(),
      path: z
        .array(z.object({ split: z.string(), arm: z.string() }))
        .meta({ description: 'The arms of split steps whose path it lies on, from the outermost.' }),
      sent: count,
      opened: count,
      openedMachine: count.meta({ description: 'Mails that only machines opened; not part of `opened`.' }),
      clicked: count,
      openRate: rate,
      clickRate: rate,
    }),
  ),
  upsells: z
    .array(
      z.object({
        offer: z.string(),
        shown: count,
        taken: count.meta({ description: 'Paid, those refunded since included.' }),
        declined: count,
        takeRate: rate,
        revenue: money.meta({ description: 'Part of the revenue of the funnel.' }),
      }),
    )
    .meta({ description: 'What was offered after orders.' }),
});

export const funnelHeadlinesResponse = pageOf(headline).extend({ period });

export function periodOf({ from, to }: PeriodQuery): Period {
  return { from: from ?? null, to: to ?? null };
}

export function periodJson({ from, to }: Period): z.infer<typeof period> {
  return { from: from?.toISOString() ?? null, to: to?.toISOString() ?? null };
}

export function headlineJson(funnel: FunnelHeadline): z.infer<typeof headline> {
  const { id: _, key, ...rest } = funnel;
  return { funnel: key, ...rest };
}

export function reportJson(report: FunnelReport, period: Period): z.infer<typeof funnelReportResponse> {
  const { steps, upsells, ...rest } = report;
  return { ...headlineJson(rest), period: periodJson(period), steps, upsells };
}
