import { expect, it } from 'vitest';
import { z } from 'zod';
import {
  type Condition,
  CONDITION_KINDS,
  conditionSchema,
  leafSchemas,
} from '../../../src/segments/condition.js';
import { meets, type PersonFacts, type Reading } from '../../../src/segments/meets.js';
import { optionsIn } from '../../support/schema-options.js';

const NOW = new Date('2026-03-20T12:00:00Z');
const on = (day: number): Date => new Date(Date.UTC(2026, 2, day, 12));
const TYPES = { level: 'number', city: 'text', day: 'date' } as const;
const READING: Reading = {
  now: NOW,
  zone: 'UTC',
  typeOf: ({ field }) => Object.entries(TYPES).find(([key]) => key === field)?.[1],
};
const NOBODY: PersonFacts = {
  ...{ status: 'active', createdAt: on(1), confirmedAt: null, email: 'one@example.com', name: null },
  ...{
    timeZone: null,
    locale: null,
    fields: {},
    tags: [],
    lists: [],
    mails: [],
    orders: [],
    memberships: [],
  },
  ...{ events: [], affiliate: null, isAffiliate: false, enrollments: [], arms: [], forms: [] },
};
const hits = ['open', 'click'].map((kind) => ({ kind, class: 'human', at: on(18) }));
const MAIL = {
  ...{ at: on(18), broadcast: null, funnel: 'tea', step: 'hello', arm: null, state: 'accepted', hits },
};
const NEWS = { ...MAIL, broadcast: '7', funnel: null, step: null };

type Row = [condition: unknown, holding: Partial<PersonFacts>, other: Partial<PersonFacts>];

/** Each option of something that happened once, on the 18th of March or on another day. */
const times = (
  kind: string,
  rest: object,
  at: (day: number) => Partial<PersonFacts>,
): Record<string, Row> => ({
  [`${kind}/withinDays`]: [{ [kind]: { ...rest, withinDays: 3 } }, at(18), at(10)],
  [`${kind}/since`]: [{ [kind]: { ...rest, since: '2026-03-15' } }, at(18), at(10)],
  [`${kind}/until`]: [{ [kind]: { ...rest, until: '2026-03-15' } }, at(10), at(18)],
});
const mailAt = (day: number): Partial<PersonFacts> => ({
  mails: [{ ...MAIL, at: on(day), hits: hits.map((hit) => ({ ...hit, at: on(day) })) }],
});
const mail = (kind: string): Record<string, Row> => ({
  [`/${kind}`]: [{ [kind]: { funnel: 'tea' } }, { mails: [MAIL] }, {}],
  ...times(kind, { funnel: 'tea' }, mailAt),
  [`${kind}/broadcast`]: [
    { [kind]: { broadcast: '7' } },
    { mails: [NEWS] },
    { mails: [{ ...NEWS, broadcast: '8' }] },
  ],
  [`${kind}/funnel`]: [
    { [kind]: { funnel: 'tea' } },
    { mails: [MAIL] },
    { mails: [{ ...MAIL, funnel: 'pot' }] },
  ],
  [`${kind}/step`]: [
    { [kind]: { funnel: 'tea', step: 'hello' } },
    { mails: [MAIL] },
    { mails: [{ ...MAIL, step: 'bye' }] },
  ],
});
const bought = (product: string, day = 18): Partial<PersonFacts> => ({
  orders: [{ status: 'paid', paidAt: on(day), products: [product] }],
});
const member = (product: string, state = 'active'): Partial<PersonFacts> => ({
  memberships: [{ product, state, endsAt: null }],
});
const called = (name: string, ...days: number[]): Partial<PersonFacts> => ({
  events: days.map((day) => ({ name, at: on(day) })),
});
const drawn = (test: string, arm: string): Partial<PersonFacts> => ({
  enrollments: [{ sequence: 'tea', funnel: 'tea', status: 'active' }],
  arms: [{ test, arm }],
});
const inside = (sequence: string, status = 'active', funnel = sequence): Partial<PersonFacts> => ({
  enrollments: [{ sequence, funnel, status }],
});

const ROWS: Readonly<Record<string, Row>> = {
  '/status': [{ status: ['pending', 'bounced'] }, { status: 'bounced' }, { status: 'active' }],
  '/tag': [{ tag: 'a' }, { tags: ['a'] }, { tags: ['b'] }],
  '/list': [{ list: 'a' }, { lists: ['a'] }, { lists: ['b'] }],
  '/signedUp': [{ signedUp: { withinDays: 3 } }, { createdAt: on(18) }, {}],
  ...times('signedUp', {}, (day) => ({ createdAt: on(day) })),
  '/confirmed': [{ confirmed: {} }, { confirmedAt: on(18) }, {}],
  ...times('confirmed', {}, (day) => ({ confirmedAt: on(day) })),
  ...mail('opened'),
  ...mail('clicked'),
  ...mail('received'),
  '/opened': [{ opened: {} }, { mails: [MAIL] }, { mails: [{ ...MAIL, hits: [] }] }],
  '/clicked': [{ clicked: {} }, { mails: [MAIL] }, { mails: [{ ...MAIL, hits: hits.slice(0, 1) }] }],
  '/received': [
    { received: { funnel: 'tea' } },
    { mails: [MAIL] },
    { mails: [{ ...MAIL, state: 'cancelled' }] },
  ],
  '/purchased': [{ purchased: {} }, bought('kit'), {}],
  ...times('purchased', {}, (day) => bought('kit', day)),
  'purchased/product': [{ purchased: { product: 'kit' } }, bought('kit'), bought('list')],
  '/event': [{ event: { name: 'call' } }, called('call', 18), {}],
  ...times('event', { name: 'call' }, (day) => called('call', day)),
  'event/name': [{ event: { name: 'call' } }, called('call', 18), called('came', 18)],
  'event/atLeast': [{ event: { name: 'call', atLeast: 2 } }, called('call', 17, 18), called('call', 18)],
  '/member': [{ member: {} }, member('kit'), {}],
  'member/product': [{ member: { product: 'kit' } }, member('kit'), member('list')],
  'member/is': [{ member: { is: 'refunded' } }, member('kit', 'refunded'), member('kit')],
  '/affiliate': [{ affiliate: 'ada' }, { affiliate: 'ada' }, { affiliate: 'bo' }],
  '/split': [{ split: { funnel: 'tea', step: 'x', arm: 'a' } }, drawn('tea/x', 'a'), {}],
  'split/funnel': [
    { split: { funnel: 'tea', step: 'x', arm: 'a' } },
    drawn('tea/x', 'a'),
    drawn('pot/x', 'a'),
  ],
  'split/step': [{ split: { funnel: 'tea', step: 'x', arm: 'a' } }, drawn('tea/x', 'a'), drawn('tea/y', 'a')],
  'split/arm': [{ split: { funnel: 'tea', step: 'x', arm: 'a' } }, drawn('tea/x', 'a'), drawn('tea/x', 'b')],
  'split/broadcast': [
    { split: { broadcast: '7', arm: 'b' } },
    { mails: [{ ...NEWS, arm: 1 }] },
    { mails: [{ ...NEWS, broadcast: '8', arm: 1 }] },
  ],
  '/sequence': [{ sequence: { key: 'tea' } }, inside('tea'), {}],
  'sequence/key': [{ sequence: { key: 'tea' } }, inside('tea'), inside('pot')],
  'sequence/is': [{ sequence: { key: 'tea', is: 'completed' } }, inside('tea', 'completed'), inside('tea')],
  '/funnel': [{ funnel: 'tea' }, inside('x', 'active', 'tea'), inside('x', 'active', 'pot')],
  '/form': [{ form: 'tea' }, { forms: ['tea'] }, { forms: ['pot'] }],
  '/field': [
    { field: 'city', op: 'is', value: 'Oslo' },
    { fields: { city: 'Oslo' } },
    { fields: { level: 1 } },
  ],
  '/op': [{ field: 'level', op: 'above', value: 3 }, { fields: { level: 4 } }, { fields: { level: 3 } }],
  '/value': [{ field: 'level', op: 'is', value: 3 }, { fields: { level: 3 } }, { fields: { level: 4 } }],
};

const field = (key: string, op: string, value: unknown, holds: unknown, other: unknown): Row => [
  { field: key, op, ...(value === undefined ? {} : { value }) },
  { fields: { [key]: holds } },
  { fields: other === undefined ? {} : { [key]: other } },
];
const OPERATORS: Readonly<Record<string, Row>> = {
  is: field('city', 'is', 'Oslo', 'Oslo', 'Rome'),
  isNot: field('city', 'isNot', 'Oslo', 'Rome', 'Oslo'),
  oneOf: field('city', 'oneOf', ['Oslo', 'Bern'], 'Bern', 'Rome'),
  contains: field('city', 'contains', 'SL', 'Oslo', 'Rome'),
  startsWith: field('city', 'startsWith', 'os', 'Oslo', 'Cosmo'),
  atLeast: field('level', 'atLeast', 3, 3, 2),
  atMost: field('level', 'atMost', 3, 3, 4),
  above: field('level', 'above', 3, 4, 3),
  below: field('level', 'below', 3, 2, 3),
  before: field('day', 'before', '2026-02-01', '2026-01-31', '2026-02-01'),
  after: field('day', 'after', '2026-02-01', '2026-02-02', '2026-02-01'),
  withinDays: field('day', 'withinDays', 3, '2026-03-18', '2026-03-10'),
  inNextDays: field('day', 'inNextDays', 3, '2026-03-22', '2026-03-29'),
  isSet: field('city', 'isSet', undefined, 'Oslo', undefined),
};

const NESTED: Readonly<Record<string, Row>> = {
  all: [{ all: [{ tag: 'a' }, { tag: 'b' }] }, { tags: ['a', 'b'] }, { tags: ['a'] }],
  any: [{ any: [{ tag: 'a' }, { tag: 'b' }] }, { tags: ['b'] }, { tags: ['c'] }],
  not: [{ not: { tag: 'a' } }, { tags: ['b'] }, { tags: ['a'] }],
};

it('each option of a condition, and each way to compare a field, is shown below', () => {
  const schemas = Object.values(leafSchemas).map((leaf) =>
    z.toJSONSchema(leaf, { io: 'input', unrepresentable: 'any' }),
  );
  const options = schemas.flatMap((schema) =>
    [...optionsIn(schema).keys()].map((key) => key.replace(/^(anyOf|oneOf)\//, '/')),
  );
  expect(Object.keys(ROWS).toSorted()).toEqual([...new Set(options)].toSorted());
  expect([...Object.keys(leafSchemas), ...Object.keys(NESTED)].toSorted()).toEqual(
    CONDITION_KINDS.toSorted(),
  );
  const ways = leafSchemas.field.options.flatMap(({ shape }) => [
    ...(shape.op instanceof z.ZodEnum ? shape.op.options : shape.op.values),
  ]);
  expect(Object.keys(OPERATORS).toSorted()).toEqual(ways.map(String).toSorted());
});

/** Another test compares the database’s answer with this one, for conditions drawn at random. */
it.each([...Object.entries(ROWS), ...Object.entries(OPERATORS), ...Object.entries(NESTED)])(
  'a condition holds for some and not for others: %s',
  (_, [given, holding, other]) => {
    const condition: Condition = conditionSchema.parse(given);
    expect(meets({ ...NOBODY, ...holding }, condition, READING)).toBe(true);
    expect(meets({ ...NOBODY, ...other }, condition, READING)).toBe(false);
  },
);
