import { z } from 'zod';
import { senderSchema } from '../delivery/mails/sender.schemas.js';
import { pageOf } from '../infra/http/page.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../values/header-text.js';
import { canonicalTimeZone, isTimeZone } from '../values/zoned-time.js';
import { audienceSchema } from './audience.js';
import { broadcastOfferSchema } from './broadcast-offer.js';
import { USUAL_PRIORITY } from '../delivery/message/message.js';
import { BROADCAST_STATES } from './broadcast-status.js';
import { restWords, wordsResults } from './words-results.schemas.js';
import { splitSchema, subjectSchema, templateSchema } from './split.js';
import { IF_PASSED, isLocalReading, type BroadcastTiming } from './timing.js';

const instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

const title = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(200, 'at most 200 characters')
  .regex(HEADER_TEXT, HEADER_TEXT_ADVICE);
const template = templateSchema;
const subject = subjectSchema.nullable();
const split = splitSchema.nullable();
const offer = broadcastOfferSchema.nullable().meta({
  description: 'What the mail offers. Who owns it gets it, too, unless the audience leaves them out.',
});
const topic = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use lower-case letters, digits and single hyphens, such as news')
  .max(60)
  .nullable()
  .meta({
    description:
      'What readers can opt out of: a funnel, or a name of your own. Left out: the funnel, or `news`.',
  });
const expiresAt = instant
  .nullable()
  .meta({ description: 'A mail that is not sent by then is not sent at all.' });

const key = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use lower-case letters, digits and single hyphens, such as launch-2026')
  .max(60)
  .nullable()
  .meta({
    description:
      'A name of your own. Writing one with a key that is taken gives the broadcast that has it, unchanged.',
  });

const priority = z.number().int().min(1).max(9).meta({
  description:
    'Of mails that are due at once, of sequences too, and of those that the frequency cap lets through: 1 goes first, 5 is usual, 9 last. What a sequence sends the moment somebody joins has 4, where its file names no other and no 50 join at once.',
});

export const broadcastBody = z.strictObject({
  key: key.default(null),
  title,
  template,
  subject: subject.default(null),
  offer: offer.default(null),
  split: split.default(null),
  audience: audienceSchema,
  sender: senderSchema,
  topic: topic.default(null),
  priority: priority.default(USUAL_PRIORITY),
  expiresAt: expiresAt.default(null),
});

export const broadcastChange = z
  .strictObject({
    title: title.optional(),
    template: template.optional(),
    subject: subject.optional(),
    offer: offer.optional(),
    split: split.optional(),
    audience: audienceSchema.optional(),
    sender: senderSchema.optional(),
    topic: topic.optional(),
    priority: priority.optional(),
    expiresAt: expiresAt.optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'name at least one field to change');

/** In place of a time zone: each reader's own clock counts. */
export const EACH_READER = 'subscriber';
const MAX_SPREAD_MINUTES = 7 * 24 * 60;
const LOCAL_ADVICE = 'write day and time of day such as 2026-03-05T09:30';

/** When the mails are due. */
export const startBody = z
  .strictObject({
    at: instant.optional().meta({ description: 'When, the same instant for everybody; left out: now.' }),
    atLocal: z
      .string()
      .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d$/, { error: LOCAL_ADVICE, abort: true })
      .refine(isLocalReading, LOCAL_ADVICE)
      .optional()
      .meta({
        description:
          'In place of `at`: each recipient gets it when their own clock shows this. The audience is frozen when the first clock on earth does, or now if that is over.',
      }),
    timezone: z
      .string()
      .refine(
        (zone) => zone === EACH_READER || isTimeZone(zone),
        `use ${EACH_READER}, or an IANA time zone such as Europe/Vienna`,
      )
      .optional()
      .meta({
        description:
          'With `atLocal`: whose clock is read, `subscriber` for the own one of each (when left out), or that of a time zone for everybody.',
      }),
    fallbackZone: z
      .string()
      .refine(isTimeZone, 'use an IANA time zone such as Europe/Vienna')
      .optional()
      .meta({ description: 'With `atLocal`: the clock of those whose zone is not known; left out: UTC.' }),
    ifPassed: z.enum(IF_PASSED).optional().meta({
      description:
        'With `atLocal`: for those whose clock is past it when the broadcast begins. `nextDay`, at the same hour a day later (when left out); `send`, at once; `skip`, not at all, which the ledger keeps as expired. With `nextDay` and `skip`, also for those whom a pause made over six hours late. No mail goes at night that a limit, the frequency cap or a relay has kept, nor what goes on behind a pause: it goes until 22:00 on that clock, or for two hours behind its hour and spread where that is later; then with `nextDay` at the same hour of the next day, and with the others, or where arms of a split test have hours of their own, from 08:00; but at once where it would expire before. Those who get it at once as it begins get it by night as well.',
    }),
    spreadMinutes: z
      .number()
      .int()
      .min(0)
      .max(MAX_SPREAD_MINUTES, 'at most a week, 10080 minutes')
      .optional()
      .meta({
        description:
          'Spreads the mails evenly over so many minutes, and with `atLocal` those that wait until their hours open again once more; left out: 0.',
      }),
  })
  .refine((given) => given.at === undefined || given.atLocal === undefined, 'give at or atLocal, not both')
  .refine(
    (given) =>
      given.atLocal !== undefined ||
      [given.fallbackZone, given.ifPassed, given.timezone].every((one) => one === undefined),
    'timezone, fallbackZone and ifPassed belong to atLocal: give it, or leave them out',
  )
  .refine((given) => given.fallbackZone === undefined || (given.timezone ?? EACH_READER) === EACH_READER, {
    path: ['fallbackZone'],
    message: 'with a timezone one clock counts for everybody; leave it out',
  })
  .optional();

/** Once more, to those whom the first mail did not reach. */
export const resendBody = z
  .strictObject({
    subject: subjectSchema.optional(),
    template: templateSchema.optional(),
    title: title.optional(),
    offer: broadcastOfferSchema.nullable().optional().meta({
      description:
        'What the mail offers; null for nothing. Left out: what the first mail offered, or its winner; nothing where that is off the site by now.',
    }),
    unless: z.enum(['opened', 'clicked']).default('opened').meta({
      description:
        'Who is passed by; whoever clicked has opened. Machines do neither. What may be a person’s counts here, also a click, so that nobody is bothered who has read it.',
    }),
    leaveOutWaiting: z.boolean().default(false).meta({
      description:
        'Whether it may go without those whose first mail still waits: for a limit, the frequency cap, an hour or your word. They get that later, and this one never. Else it is refused while any waits.',
    }),
  })
  .refine((given) => given.subject !== undefined || given.template !== undefined, {
    path: ['subject'],
    message: 'give another subject, or another template with its own',
  });

/** What was said of the hour. */
export function timingOf(
  body: Omit<NonNullable<z.output<typeof startBody>>, 'at'> | undefined,
): BroadcastTiming {
  const { atLocal, timezone = EACH_READER, fallbackZone = 'UTC' } = body ?? {};
  const { ifPassed = 'nextDay', spreadMinutes = 0 } = body ?? {};
  if (atLocal === undefined) return { local: null, spreadMinutes };
  const local = { atLocal, fallbackZone: canonicalTimeZone(fallbackZone) ?? 'UTC', ifPassed };
  const zone = timezone === EACH_READER ? null : canonicalTimeZone(timezone);
  return { local: zone === null ? local : { ...local, timezone: zone }, spreadMinutes };
}

const timing = z
  .object({
    atLocal: z.string().nullable(),
    timezone: z.string().nullable().meta({ description: '`subscriber`: the own clock of each reader.' }),
    fallbackZone: z.string().nullable(),
    ifPassed: z.enum(IF_PASSED).nullable(),
    spreadMinutes: z.number().int(),
    withoutZone: z
      .number()
      .int()
      .meta({ description: 'Recipients so far whose time zone is not known; theirs is fallbackZone.' }),
    hourPassed: z
      .number()
      .int()
      .meta({ description: 'Recipients so far whose clock was past the hour when it began.' }),
  })
  .nullable();

const amount = z.object({ amountMinor: z.number().int(), currency: z.string() });

const offerResponse = z
  .object({
    key: z.string(),
    discount: z.string().nullable(),
    until: z.iso.datetime({ offset: true }).nullable(),
  })
  .nullable();

const splitResponse = z
  .object({
    arms: z.array(
      z.object({
        key: z.string(),
        template: z.string(),
        subject: z.string().nullable(),
        offer: offerResponse,
        at: z.string().nullable().meta({ description: 'The hour of the arm, where it has its own.' }),
        delayMinutes: z.number().int().nullable(),
        sent: z.number().int().nullable().meta({ description: 'Mails a relay took; null before the start.' }),
        clickers: z
          .number()
          .int()
          .nullable()
          .meta({ description: 'Readers with a click that a person made.' }),
        revenue: amount.nullable(),
        unsubscribes: z
          .number()
          .int()
          .nullable()
          .meta({ description: 'Readers who have left since their mail.' }),
        complaints: z.number().int().nullable(),
        stopped: z
          .object({
            rail: z.enum(['unsubscribes', 'complaints']),
            rate: z.number(),
            limit: z.number(),
            at: z.iso.datetime(),
          })
          .nullable()
          .meta({ description: 'It broke a guard rail; its unsent mails went to the other arms.' }),
        lift: z
          .object({ low: z.number(), high: z.number().nullable() })
          .nullable()
          .meta({ description: 'How many times as much as the first arm, per reader.' }),
        pValue: z
          .number()
          .nullable()
          .meta({ description: 'That it is better than each other arm; holds at every look.' }),
      }),
    ),
    notCompared: z.string().nullable().meta({
      description:
        'Why there is neither lift nor pValue, where arms have hours or delays and none is decided.',
    }),
    testPercent: z.number().int(),
    waitMinutes: z.number().int(),
    judge: z.enum(['clicks', 'revenue']),
    revenueCap: amount.nullable(),
    alpha: z.number(),
    holdout: z.string().nullable().meta({ description: 'Part of the audience that gets nothing.' }),
    guardRails: z
      .object({ unsubscribes: z.string().nullable(), complaints: z.string().nullable() })
      .nullable(),
    decidesAt: z.iso.datetime().nullable().meta({
      description:
        'Null until each mail of the test was tried and one has gone; waitMinutes count from then.',
    }),
    decision: z
      .object({
        verdict: z.enum(['winner', 'no_winner']),
        because: z.enum(['horizon', 'sample_ratio', 'guard_rails']).nullable(),
        arm: z.string(),
        at: z.iso.datetime(),
        text: z.string(),
        words: restWords,
      })
      .nullable(),
  })
  .nullable();

const broadcastResponse = z.object({
  id: z.string(),
  key: z.string().nullable(),
  title: z.string(),
  template: z.string(),
  subject: z.string().nullable(),
  offer: offerResponse,
  split: splitResponse,
  audience: z.record(z.string(), z.unknown()),
  sender: z.object({ name: z.string(), email: z.string(), postalAddress: z.string() }),
  topic: z.string(),
  priority: z.number().int(),
  state: z.enum(BROADCAST_STATES),
  stateReason: z.string().nullable(),
  scheduledAt: z.iso.datetime().nullable(),
  timing,
  rewordedAt: z.iso
    .datetime()
    .nullable()
    .meta({ description: 'When its words were changed last, in a pause.' }),
  resendOf: z.string().nullable().meta({ description: 'The broadcast that it sends once more.' }),
  resentBy: z.string().nullable().meta({ description: 'The broadcast that sends it once more.' }),
  expiresAt: z.iso.datetime().nullable(),
  startedAt: z.iso.datetime().nullable(),
  plannedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
});

export const broadcastReport = broadcastResponse.extend({
  counts: z.record(z.string(), z.number().int()).meta({
    description:
      'Mails per state, counted in the ledger, `held_out` for readers who are to get none; a state without a mail is left out.',
  }),
  complete: z.boolean().meta({ description: 'Every mail is written, and none of them is open any more.' }),
  estimate: z
    .object({
      remaining: z.number().int(),
      unwritten: z.number().int().meta({ description: 'Of `remaining`: still to be written.' }),
      waitsForTest: z
        .number()
        .int()
        .meta({ description: 'Of `remaining`: held until the split test is judged.' }),
      completesAt: z.iso.datetime().nullable(),
      perSecond: z.number().nullable(),
      limitedBy: z.string().nullable().meta({
        description:
          'As of `GET /api/v1/sending/estimate`: the limit that decides, or what lets nothing through.',
      }),
    })
    .nullable()
    .meta({
      description:
        'When the rest will have gone out, by due times, limits and the present rates; null unless it is under way.',
    }),
});

const group = z.object({
  people: z.number().int(),
  buyers: z.number().int(),
  revenue: z
    .array(
      amount.extend({
        perPersonMinor: z.number().meta({
          description:
            'Of that, for each of `people`: in the same minor units, with their fraction, as it may be less than one.',
        }),
      }),
    )
    .meta({ description: 'Orders less what was paid back, one amount for each currency.' }),
});

export const broadcastResults = z.object({
  sent: z.number().int().meta({
    description: 'Mails that a relay has taken; of an unknown one once something was fetched from it.',
  }),
  tried: z
    .number()
    .int()
    .meta({ description: 'Those and what bounced before anybody took it: what `bounced` is a part of.' }),
  opened: z
    .number()
    .int()
    .meta({ description: 'Mails opened, as far as pictures tell; machines that fetch them are nobody.' }),
  clicked: z.number().int().meta({ description: 'Mails with a click that a person made.' }),
  bounced: z.number().int(),
  complained: z.number().int(),
  left: z.number().int().meta({ description: 'Readers who have left since they got it.' }),
  orders: z.number().int().meta({ description: 'That came by a link in its mails.' }),
  revenue: z.array(amount).meta({ description: 'Of those orders, less what was paid back.' }),
  ordersOfArms: z
    .array(
      z.object({
        arm: z.string().nullable().meta({ description: 'Null: the rest of the audience.' }),
        orders: z.number().int(),
        revenue: z.array(amount),
      }),
    )
    .meta({ description: 'The same by the arm whose mail it was; empty without a split test.' }),
  words: wordsResults,
  holdout: z
    .object({
      mailed: group.meta({ description: 'All who were to get the mail.' }),
      heldOut: group.meta({ description: 'All who were to get nothing.' }),
      lift: z.object({ low: z.number(), high: z.number().nullable() }).meta({
        description:
          'How many times as much the mailed bring per person: buyers, or money up to the cap of the test.',
      }),
      until: z.iso.datetime().meta({ description: 'Orders count from the beginning until then.' }),
    })
    .nullable()
    .meta({ description: 'Null for a broadcast that holds nobody out.' }),
});

export const broadcastPage = pageOf(broadcastResponse);
export const audienceSize = z.object({
  size: z.number().int().meta({ description: 'Active subscribers who would get it if it started now.' }),
});
