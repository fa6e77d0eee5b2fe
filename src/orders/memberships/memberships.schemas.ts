import { z } from 'zod';
import { idSchema, pageOf, pageQuery } from '../../infra/http/page.js';
import { slugParam } from '../../offers/offers.schemas.js';
import { CHANGE_CAUSES, CHANGE_KINDS, MEMBERSHIP_STATES, readTerm } from './membership.js';
import type { ChangeRow, MembershipRow } from './memberships.queries.js';

export const membershipResponse = z
  .object({
    id: z.string(),
    subscriberId: z.string(),
    productKey: z.string(),
    state: z.enum(MEMBERSHIP_STATES),
    startsAt: z.iso.datetime(),
    endsAt: z.iso.datetime().nullable().meta({ description: 'Null: it has no end.' }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Membership' });

export const membershipWithHistory = membershipResponse.extend({
  history: z
    .array(
      z.object({
        kind: z.enum(CHANGE_KINDS),
        cause: z.enum(CHANGE_CAUSES),
        term: z.string().nullable(),
        orderId: z.string().nullable(),
        reason: z.string().nullable(),
        startsAt: z.iso.datetime(),
        endsAt: z.iso.datetime().nullable(),
        at: z.iso.datetime(),
      }),
    )
    .meta({ description: 'Everything that happened to it, oldest first; times are those after the change.' }),
});

export const membershipList = pageOf(membershipResponse);

export const membershipQuery = pageQuery.extend({
  subscriberId: idSchema.optional(),
  product: slugParam.optional(),
  state: z.enum(MEMBERSHIP_STATES).optional(),
});

export const membershipCsvQuery = membershipQuery.omit({ cursor: true, limit: true });

const reason = z
  .string()
  .trim()
  .min(1, 'say why')
  .max(500, 'at most 500 characters')
  .meta({ description: 'Why, for the history.' });

export const grantBody = z.strictObject({
  subscriberId: idSchema,
  productKey: slugParam,
  lasts: z
    .string()
    .superRefine((text, context) => {
      try {
        readTerm(text);
      } catch {
        context.addIssue({
          code: 'custom',
          message: 'use a duration above zero such as 12 months, or for good',
        });
      }
    })
    .meta({ description: 'Such as `12 months`, or `for good`. Added to one that runs.' }),
  reason,
});

export const endBody = z.strictObject({ reason });

export function membershipJson(row: MembershipRow): z.infer<typeof membershipResponse> {
  const { id, subscriberId, productKey, state, startsAt, endsAt, createdAt, updatedAt } = row;
  return {
    ...{ id, subscriberId, productKey, state },
    ...{ startsAt: startsAt.toISOString(), endsAt: endsAt?.toISOString() ?? null },
    ...{ createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() },
  };
}

export function historyJson(
  row: MembershipRow,
  changes: readonly ChangeRow[],
): z.infer<typeof membershipWithHistory> {
  const history = changes.map(({ id: _id, startsAt, endsAt, at, ...change }) => ({
    ...change,
    startsAt: startsAt.toISOString(),
    endsAt: endsAt?.toISOString() ?? null,
    at: at.toISOString(),
  }));
  return { ...membershipJson(row), history };
}
