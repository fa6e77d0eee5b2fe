import { z } from 'zod';
import { idSchema } from '../../infra/http/page.js';
import { parseEmailAddress } from '../../values/email-address.js';
import { UNSENT } from '../generation/generation.js';
import type { SilentKeeper } from '../../subscribers/keepers.service.js';
import type { PutOffCount } from './sending.queries.js';
import { DEFAULT_OVERDUE, OVERDUE_POLICIES } from '../message/overdue.js';

const MAX_PER_SECOND = 100_000;
const MAX_PER_DAY = 1_000_000_000;
const MAX_SENDERS = 200;

const limitFields = {
  perSecond: z
    .number()
    .positive()
    .min(0.001)
    .max(MAX_PER_SECOND)
    .optional()
    .meta({ description: 'Mails a second on average; 0.5 is one in two seconds.' }),
  burst: z
    .number()
    .int()
    .min(1)
    .max(MAX_PER_SECOND)
    .optional()
    .meta({ description: 'Mails that may go at once after a pause; two seconds’ worth when left out.' }),
  perDay: z.number().int().min(1).max(MAX_PER_DAY).optional().meta({
    description:
      'Mails in one day of UTC. Of them 5 %, of small days 20 mails but no more than a fifth, are kept for confirmations, receipts and the like.',
  }),
};

const burstNeedsRate = ({
  burst,
  perSecond,
}: {
  burst?: number | undefined;
  perSecond?: number | undefined;
}) => burst === undefined || perSecond !== undefined;
const NEEDS_RATE = { path: ['burst'], message: 'a burst needs perSecond beside it' };

const limit = z.strictObject(limitFields).refine(burstNeedsRate, NEEDS_RATE);

const day = z.iso.date({ error: 'use a day such as 2026-01-31' });

const senderLimit = z
  .strictObject({
    ...limitFields,
    warmUp: z.strictObject({ startedOn: day }).optional().meta({
      description:
        'Warm-up of a new domain: 100 mails on its first day of sending, not before `startedOn`, and 1.4 times as many on each day of sending after it, for 28 of them. Days on which nothing went do not count; another `startedOn` begins anew.',
    }),
  })
  .refine(burstNeedsRate, NEEDS_RATE);

const senders = z.record(z.string(), senderLimit).superRefine((value, context) => {
  const domains = Object.keys(value);
  if (domains.length > MAX_SENDERS)
    context.addIssue({ code: 'custom', message: `at most ${MAX_SENDERS} sender domains` });
  for (const domain of domains.slice(0, MAX_SENDERS)) {
    const parsed = parseEmailAddress(`a@${domain}`);
    if (!parsed.ok || parsed.domain !== domain)
      context.addIssue({
        code: 'custom',
        path: [domain],
        message: 'use the domain of a sender in lower case, such as news.example.com',
      });
  }
});

/** The limits as a whole: what is left out is no limit. */
export const sendingSettings = z.strictObject({
  global: limit.nullable().default(null).meta({ description: 'All mails together.' }),
  senders: senders.default({}).meta({ description: 'By domain of the sender.' }),
  groups: z
    .strictObject({
      gmail: limit.optional(),
      outlook: limit.optional(),
      yahoo: limit.optional(),
      other: limit.optional(),
    })
    .default({})
    .meta({ description: 'By who receives mail for the recipient, found by the domain and its MX.' }),
  overdue: z
    .strictObject({
      policy: z.enum(OVERDUE_POLICIES),
      afterHours: z.number().int().min(1).max(720).default(DEFAULT_OVERDUE.afterHours),
    })
    .default(DEFAULT_OVERDUE)
    .meta({
      description:
        'What becomes of marketing mails that an outage, or a missing or bad DKIM key, has made later than `afterHours`: they are sent, skipped, or held until you decide.',
    }),
});
export type SendingSettings = z.output<typeof sendingSettings>;
export type Limit = z.output<typeof limit> & { warmUp?: { startedOn: string } | undefined };

export const estimateQuery = z.strictObject({
  broadcastId: idSchema
    .optional()
    .meta({ description: 'Only mails of this broadcast; else all that are due.' }),
});

export const estimateResponse = z.object({
  broadcastId: z.string().nullable(),
  remaining: z.number(),
  waitsForTest: z
    .number()
    .meta({ description: 'Of `remaining`: held until the split test of the broadcast is judged.' }),
  completesAt: z.iso.datetime().nullable(),
  perSecond: z.number().nullable(),
  limitedBy: z.string().nullable().meta({
    description:
      'The limit that decides; `relay`: what the relays take. With `completesAt` null it may be what lets nothing through: `relay` (none works), `ledger` (it waits for your confirmation), `leavings` (mails of lists wait for one of `silentKeepers` of the state) or `signing` (a DKIM key is missing or bad).',
  }),
});

export const confirmBody = z.strictObject({
  unsent: z
    .enum(UNSENT)
    .default('hold')
    .meta({ description: 'What to do with mails that may have gone out after the backup was made.' }),
});
export const confirmResponse = z.object({
  needed: z.boolean(),
  held: z.number(),
  cancelled: z.number(),
  unknown: z.number(),
});

export const sendingState = z.object({
  maySend: z.boolean(),
  takesWrites: z.boolean().meta({
    description:
      'False while the database can be read alone, such as a standby: then nothing is sent either.',
  }),
  reason: z.string().nullable(),
  buckets: z.array(
    z.object({
      key: z.string(),
      perSecond: z.number().nullable(),
      slowFactor: z.number(),
      availableNow: z.number().nullable(),
      usedToday: z.number(),
      quotaToday: z.number().nullable(),
      reservedToday: z.number().meta({
        description:
          'The part of `quotaToday` that only confirmations, receipts and the like may use. None in a warm-up: they may go beyond it, to twice as many.',
      }),
      warmUpStartedOn: z.string().nullable(),
    }),
  ),
  relays: z.array(
    z.object({
      name: z.string(),
      host: z.string(),
      weight: z.number(),
      lanes: z.number().nullable().meta({
        description:
          'Connections that each worker may have open at the same time, so that two workers open twice as many; null: 32. Every other limit here holds over all workers together.',
      }),
      state: z.enum(['untried', 'closed', 'open', 'half_open']).meta({
        description:
          '`untried`: no mail has tried it yet, so that nobody knows whether it works. `closed`: it works. `open`: it is left alone. `half_open`: one mail tries it.',
      }),
      retryAt: z.iso.datetime().nullable(),
      reason: z.string().nullable(),
    }),
  ),
  silentKeepers: z.array(z.object({ place: z.string(), until: z.iso.datetime().nullable() })).meta({
    description:
      'Processes that answer requests and have not said for a minute that all readers who left by a link are known: the machine and folder of each, and until when mails of lists wait for it; null: they go on without it.',
  }),
  putOff: z
    .array(
      z.object({ reason: z.string(), count: z.number(), nextAt: z.iso.datetime(), lastAt: z.iso.datetime() }),
    )
    .meta({
      description:
        'Mails that a relay or receiver has answered with "come back later" (4xx), by the reason, and when the first and the last of them are tried again.',
    }),
  held: z.array(z.object({ reason: z.string(), broadcastId: z.string().nullable(), count: z.number() })),
  unknown: z.number(),
  unknownOfSequences: z
    .array(z.object({ funnelKey: z.string(), unknown: z.number(), resendable: z.number() }))
    .meta({ description: 'Mails of sequences among them, and how many of those you may send once more.' }),
  pausedSequences: z
    .array(z.object({ funnelKey: z.string(), reason: z.string(), pausedAt: z.iso.datetime() }))
    .meta({ description: 'Funnels whose sequences send nothing until you let them go on.' }),
  pausedBroadcasts: z.array(z.object({ id: z.string(), title: z.string(), reason: z.string() })).meta({
    description: 'Broadcasts that send nothing until you let them go on; `held` counts none of their mails.',
  }),
});
export const forgottenKeepers = z.object({ forgotten: z.number() });
type StateJson = z.output<typeof sendingState>;

/** As the services know it; instants become text on the way out. */
export interface SendingState extends Omit<
  StateJson,
  'relays' | 'silentKeepers' | 'pausedSequences' | 'putOff'
> {
  silentKeepers: SilentKeeper[];
  putOff: PutOffCount[];
  pausedSequences: { funnelKey: string; reason: string; pausedAt: Date }[];
  relays: (Omit<StateJson['relays'][number], 'retryAt'> & { retryAt: Date | null })[];
}
