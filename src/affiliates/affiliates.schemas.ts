import { z } from 'zod';
import { idSchema, pageOf } from '../infra/http/page.js';
import { emailSchema, objectKey } from '../subscribers/subscribers.schemas.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../values/header-text.js';
import { moneyOf } from '../values/money.js';
import {
  AFFILIATE_STATES,
  RESERVED_CODES,
  type Affiliate,
  type AffiliateFigures,
  type Balance,
} from './affiliate.js';
import { money } from '../infra/http/money.schemas.js';

const code = objectKey
  .max(40, 'at most 40 characters')
  .refine(
    (given) => !RESERVED_CODES.includes(given),
    `not ${RESERVED_CODES.join(', ')}, which mean something else`,
  )
  .meta({ description: 'Stands in the link, /a/CODE; never changes.' });
const name = z.string().trim().min(1, 'must not be empty').max(100).regex(HEADER_TEXT, HEADER_TEXT_ADVICE);
const recruiterId = idSchema
  .nullable()
  .meta({ description: 'Who recruited them, and gets the second tier of their sales.' });

export const createAffiliate = z.strictObject({
  code,
  name,
  email: emailSchema,
  recruiterId: recruiterId.default(null),
});
export const updateAffiliate = z
  .strictObject({
    name: name.optional(),
    email: emailSchema.optional(),
    state: z.enum(AFFILIATE_STATES, { error: 'use active or paused' }).optional(),
    recruiterId: recruiterId.optional(),
  })
  .refine(
    (change) => Object.keys(change).length > 0,
    'name what is to change: name, email, state, recruiterId',
  );

export const affiliateResponse = z
  .object({
    id: z.string(),
    code: z.string(),
    link: z.string().meta({ description: 'Append `?to=/p/SLUG` or `?to=/offer/SLUG` for another page.' }),
    name: z.string().nullable(),
    email: z.string().nullable(),
    recruiterId: z.string().nullable(),
    state: z.enum(AFFILIATE_STATES),
    createdAt: z.iso.datetime(),
    isErased: z.boolean(),
    isForgottenWhenPaid: z.boolean().meta({
      description: 'Wants to be forgotten, and is owed money: the last payment erases name and address.',
    }),
    clicks: z.number().int(),
    signUps: z.number().int(),
    sales: z.number().int(),
    balances: z.array(
      z.object({ pending: money, due: money, inPayout: money, paidOut: money, takenBack: money }),
    ),
  })
  .meta({ id: 'Affiliate' });
export const affiliateList = pageOf(affiliateResponse);
export type AffiliateJson = z.output<typeof affiliateResponse>;

export function affiliateLink(baseUrl: string, { code }: { code: string }): string {
  return `${baseUrl}/a/${code}`;
}

export function affiliateJson(
  { createdAt, ...affiliate }: Affiliate,
  figures: AffiliateFigures | undefined,
  baseUrl: string,
): AffiliateJson {
  const { clicks = 0, signUps = 0, sales = 0, balances = [] } = figures ?? {};
  return {
    ...affiliate,
    link: affiliateLink(baseUrl, affiliate),
    createdAt: createdAt.toISOString(),
    ...{ clicks, signUps, sales },
    balances: balances.map(balanceJson),
  };
}

export function balanceJson({ currency, ...minor }: Balance): AffiliateJson['balances'][number] {
  return {
    pending: moneyOf(minor.pendingMinor, currency),
    due: moneyOf(minor.dueMinor, currency),
    inPayout: moneyOf(minor.inPayoutMinor, currency),
    paidOut: moneyOf(minor.paidOutMinor, currency),
    takenBack: moneyOf(minor.takenBackMinor, currency),
  };
}
