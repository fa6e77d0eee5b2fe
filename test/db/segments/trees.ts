import fc from 'fast-check';
import type { Condition, FieldCondition } from '../../../src/segments/condition.js';
import { SUBSCRIBER_STATUSES } from '../../../src/subscribers/subscription-status.js';
import {
  AFFILIATES,
  ARMS,
  BROADCASTS,
  day,
  EVENTS,
  FORMS,
  FUNNELS,
  instant,
  LISTS,
  PRODUCTS,
  STEPS,
  TAGS,
  TEXTS,
} from './people.js';

const window = fc.oneof(
  fc.constant({}),
  fc.constantFrom(1, 7, 30, 90).map((withinDays) => ({ withinDays })),
  instant.map((at) => ({ since: at.toISOString() })),
  instant.map((at) => ({ until: at.toISOString() })),
  fc.record({ since: day, until: day }),
);
const mailOf = fc.oneof(
  fc.integer({ min: 1, max: BROADCASTS }).map((id) => ({ broadcast: String(id) })),
  fc.constantFrom(...FUNNELS).map((funnel) => ({ funnel })),
  fc.record({ funnel: fc.constantFrom(...FUNNELS), step: fc.constantFrom(...STEPS) }),
);
const anyMail = fc.oneof(fc.constant({}), mailOf);
const both = <A extends object, B extends object>(
  a: fc.Arbitrary<A>,
  b: fc.Arbitrary<B>,
): fc.Arbitrary<A & B> => fc.tuple(a, b).map(([first, second]) => ({ ...first, ...second }));

const text = fc.constantFrom(...TEXTS, 'europe', 'Europe/Berlin', 'x1@example.com', 'example.org', 'S');
const textField = fc.constantFrom('plan', 'name', 'email', 'emailDomain', 'timeZone', 'locale');
const leafOf = (field: fc.Arbitrary<string>, rest: fc.Arbitrary<object>): fc.Arbitrary<Condition> =>
  fc.tuple(field, rest).map(([key, more]) => ({ field: key, ...more }) as FieldCondition);

const fieldLeaf: fc.Arbitrary<Condition> = fc.oneof(
  leafOf(textField, fc.record({ op: fc.constantFrom('is', 'isNot'), value: text })),
  leafOf(
    textField,
    fc.record({ op: fc.constant('oneOf'), value: fc.array(text, { minLength: 1, maxLength: 3 }) }),
  ),
  leafOf(
    textField,
    fc.record({ op: fc.constantFrom('contains', 'startsWith'), value: text.filter((one) => one !== '') }),
  ),
  leafOf(
    fc.constant('age'),
    fc.record({
      op: fc.constantFrom('is', 'isNot', 'atLeast', 'atMost', 'above', 'below'),
      value: fc.constantFrom(0, 2.5, 3, 5, 9, -1e9),
    }),
  ),
  leafOf(
    fc.constant('birthday'),
    fc.record({ op: fc.constantFrom('is', 'isNot', 'before', 'after'), value: day }),
  ),
  leafOf(
    fc.constant('birthday'),
    fc.record({ op: fc.constantFrom('withinDays', 'inNextDays'), value: fc.constantFrom(1, 7, 30) }),
  ),
  leafOf(fc.constant('vip'), fc.record({ op: fc.constant('is'), value: fc.boolean() })),
  leafOf(
    fc.constant('size'),
    fc.record({ op: fc.constantFrom('is', 'isNot'), value: fc.constantFrom('S', 'L') }),
  ),
  leafOf(
    fc.constantFrom('plan', 'age', 'birthday', 'vip', 'size', 'name', 'locale'),
    fc.constant({ op: 'isSet' }),
  ),
);

const leaf: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 3, arbitrary: fieldLeaf },
  fc.record({ status: fc.subarray([...SUBSCRIBER_STATUSES], { minLength: 1 }) }),
  fc.record({ tag: fc.constantFrom(...TAGS, 'nobody has it') }),
  fc.record({ list: fc.constantFrom(...LISTS) }),
  fc.record({ signedUp: window }),
  fc.record({ confirmed: window }),
  fc.record({ opened: both(window, anyMail) }),
  fc.record({ clicked: both(window, anyMail) }),
  fc.record({ received: both(window, mailOf) }),
  fc.record({
    purchased: both(
      window,
      fc.oneof(
        fc.constant({}),
        fc.constantFrom(...PRODUCTS).map((product) => ({ product })),
      ),
    ),
  }),
  fc.record({
    member: both(
      fc.oneof(
        fc.constant({}),
        fc.constantFrom(...PRODUCTS).map((product) => ({ product })),
      ),
      fc.record({ is: fc.constantFrom('active', 'ended', 'refunded', 'ever') }),
    ),
  }),
  fc.record({
    event: both(
      window,
      both(
        fc.record({ name: fc.constantFrom(...EVENTS) }),
        fc.oneof(
          fc.constant({}),
          fc.constantFrom(1, 2, 3).map((atLeast) => ({ atLeast })),
        ),
      ),
    ),
  }),
  fc.record({ affiliate: fc.constantFrom('any', 'self', 'nobody', ...AFFILIATES) }),
  fc.record({
    split: both(
      fc.oneof(
        fc.constantFrom('1', '2').map((broadcast) => ({ broadcast })),
        fc.record({ funnel: fc.constantFrom(...FUNNELS), step: fc.constantFrom(...STEPS) }),
      ),
      fc.record({ arm: fc.constantFrom(...ARMS) }),
    ),
  }),
  fc.record({
    sequence: fc.record({
      key: fc.constantFrom(...FUNNELS),
      is: fc.constantFrom('active', 'completed', 'exited', 'ever'),
    }),
  }),
  fc.record({ funnel: fc.constantFrom(...FUNNELS) }),
  fc.record({ form: fc.constantFrom(...FORMS) }),
);

/** Trees as the schema accepts them. */
export const tree: fc.Arbitrary<Condition> = fc.letrec<{ tree: Condition }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.record({ all: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('tree') }),
  ),
})).tree;
