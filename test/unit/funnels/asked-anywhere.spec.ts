import { describe, expect, it } from 'vitest';
import { simulate } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';

const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;

const text = (key: string, steps: string, more = ''): string => `funnel: ${key}
title: A funnel
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
fields: { level: number, city: text, day: date }
form: { slug: ${key}, headline: Get it, consent: Send it to me, optIn: single }
sequence:
  ${more}
  steps:
${steps.replaceAll(/^/gm, '    ')}
products: [{ key: ${key}-kit, name: Kit, price: 49.00 EUR, membership: { lasts: 1 day } }]
offers: [{ key: ${key}-kit, product: ${key}-kit }]
`;

/** The steps whose mails one person gets, receipts left out, from Monday 2 March 2026, 09:00 UTC on. */
function mailsTo(persona: string, steps: string, more = 'priority: 5', other: string[] = []): string[] {
  const files: [{ name: string; text: string }, ...{ name: string; text: string }[]] = [
    { name: 'main', text: text('main', steps, more) },
    ...other.map((one) => ({ name: 'other', text: one })),
  ];
  const people = { name: 'people', text: `personas: [{ name: one, ${persona} }]` };
  const now = new Date('2026-03-02T09:00:00Z');
  const { people: done } = simulate(simulationFromFiles(files, people, { start: null, days: 40, now }));
  return (done[0]?.timeline ?? []).flatMap((entry) =>
    entry.what === 'mail' && entry.step !== undefined ? [entry.step] : [],
  );
}

/** What is asked of a field, a value that does not fit and one that does. */
const TESTS = [
  ['field: level, is: 3', 'level: 2', 'level: 3'],
  ['field: city, isNot: Rome', 'city: Rome', 'city: Oslo'],
  ['field: level, over: 3', 'level: 3', 'level: 4'],
  ['field: level, under: 3', 'level: 3', 'level: 2'],
  ['field: level, atLeast: 3', 'level: 2', 'level: 3'],
  ['field: level, atMost: 3', 'level: 4', 'level: 3'],
  ['field: day, before: 2026-02-01', 'day: "2026-02-01"', 'day: "2026-01-31"'],
  ['field: day, after: 2026-02-01', 'day: "2026-02-01"', 'day: "2026-02-02"'],
  ['field: city, contains: SL', 'city: Rome', 'city: Oslo'],
  ['field: city, startsWith: os', 'city: Rome', 'city: Oslo'],
  ['field: city, oneOf: [Oslo, Bern]', 'city: Rome', 'city: Oslo'],
  ['field: city, exists: true', 'level: 1', 'city: Oslo'],
] as const;

describe('a field that comes to hold what is asked', () => {
  it.each(TESTS)('begins, ends and leads to a goal: %s', (asked, wrong, right) => {
    const before = wrong.startsWith('level: 1') ? '' : `fields: { ${wrong} }, `;
    const does = (value: string): string =>
      `${before}does: [{ set: { ${wrong} }, after: 1 hour }, { set: { ${value} }, after: 1 day }]`;
    const pair = `- ${mail('a')}\n- ${mail('b', ', delay: 2 days')}`;
    expect(mailsTo(does(wrong), pair, `exitOn: [{ ${asked} }]`)).toEqual(['a', 'b']);
    expect(mailsTo(does(right), pair, `exitOn: [{ ${asked} }]`)).toEqual(['a']);
    expect(mailsTo(`signsUp: false, ${does(wrong)}`, pair, `enterOn: [{ ${asked} }]`)).toEqual([]);
    expect(mailsTo(`signsUp: false, ${does(right)}`, pair, `enterOn: [{ ${asked} }]`)).toEqual(['a', 'b']);
    const goal = `- { key: pause, wait: 9 days }\n- { key: there, goal: { ${asked} }, otherwise: end }\n- ${mail('c')}`;
    expect(mailsTo(does(wrong), goal)).toEqual([]);
    expect(mailsTo(does(right), goal)).toEqual(['c']);
  });
});

describe('a condition', () => {
  it.each<[asked: string, holding: string, other: string]>([
    ...TESTS.map(([asked, wrong, right]): [string, string, string] => [
      asked,
      `fields: { ${right} }`,
      `fields: { ${wrong} }`,
    ]),
    ['field: day, withinDays: 3', 'fields: { day: "2026-03-02" }', 'fields: { day: "2026-02-01" }'],
    ['field: day, inNextDays: 3', 'fields: { day: "2026-03-06" }', 'fields: { day: "2026-03-09" }'],
    ['tag: hot', 'tags: [hot]', 'tags: [cold]'],
    ['list: readers', 'lists: [readers]', 'lists: [writers]'],
    ['clicked: hello', 'does: [{ clicks: hello, after: 1 hour }]', 'does: [{ opens: hello, after: 1 hour }]'],
    ['opened: hello', 'does: [{ opens: hello, after: 1 hour }]', ''],
    ['purchased: main-kit', 'does: [{ buys: main-kit, after: 1 hour }]', ''],
    [
      'refunded: main-kit',
      'does: [{ buys: main-kit, after: 1 hour, refundsAfter: 1 hour }]',
      'does: [{ buys: main-kit, after: 1 hour }]',
    ],
    [
      'member: main-kit',
      'does: [{ buys: main-kit, after: 47 hours }]',
      'does: [{ buys: main-kit, after: 1 hour }]',
    ],
    [
      'member: main-kit, state: ended',
      'does: [{ buys: main-kit, after: 1 hour }]',
      'does: [{ buys: main-kit, after: 47 hours }]',
    ],
    ['affiliate: ada', 'affiliate: ada', 'affiliate: bo'],
    ['event: call', 'does: [{ event: call, after: 1 hour }]', 'does: [{ event: came, after: 1 hour }]'],
    ['step: early, was: then', 'tags: [early]', ''],
    ['all: [{ tag: a }, { tag: b }]', 'tags: [a, b]', 'tags: [a]'],
    ['any: [{ tag: a }, { tag: b }]', 'tags: [b]', 'tags: [c]'],
    ['not: { tag: a }', 'tags: [b]', 'tags: [a]'],
  ])('is asked alone and inside others: %s', (asked, holding, other) => {
    const steps = (condition: string): string => `- ${mail('hello')}
- { key: early, if: { tag: early }, then: [${mail('was-early')}] }
- { key: pause, wait: 2 days }
- { key: pick, if: ${condition}, then: [${mail('yes')}], else: [${mail('no')}] }`;
    for (const condition of [`{ ${asked} }`, `{ any: [{ tag: never }, { not: { not: { ${asked} } } }] }`]) {
      expect(mailsTo(holding, steps(condition)).at(-1)).toBe('yes');
      expect(mailsTo(other === '' ? 'tags: [none]' : other, steps(condition)).at(-1)).toBe('no');
    }
  });

  it('hears of an event since its step, which an earlier one is not', () => {
    const steps = (since: string): string => `- ${mail('hello')}
- { key: pause, wait: 2 days }
- { key: pick, if: { any: [{ tag: never }, { event: call${since} }], within: 2 days }, then: [${mail('yes')}], else: [${mail('no')}] }`;
    const early = 'does: [{ event: call, after: 1 day }]';
    expect(mailsTo(early, steps('')).at(-1)).toBe('yes');
    expect(mailsTo(early, steps(', since: step')).at(-1)).toBe('no');
    expect(mailsTo(early.replace('1 day', '3 days'), steps(', since: step')).at(-1)).toBe('yes');
  });

  it('asks for the arm of a test in another sequence where that is named', () => {
    const other = text(
      'side',
      `- { key: hello, email: emails/story, split: { judge: clicks, arms: [{ key: a }, { key: b, subject: Hi }] } }`,
      'enterOn: [{ tag: side }]',
    );
    const steps = (asked: string): string => `- ${mail('first')}
- { key: pause, wait: 2 days }
- { key: pick, if: ${asked}, then: [${mail('yes')}], else: [${mail('no')}] }`;
    const onArm = (arm: string, does = 'does: [{ tag: side, after: 1 hour }]'): (string | undefined)[] =>
      [
        `{ sequence: side, split: hello, arm: ${arm} }`,
        `{ any: [{ tag: never }, { sequence: side, split: hello, arm: ${arm} }] }`,
      ].map((asked) => mailsTo(does, steps(asked), 'priority: 5', [other]).at(-1));
    const [a, b] = [onArm('a'), onArm('b')];
    expect([a, b].toSorted((one, other) => String(one).localeCompare(String(other)))).toEqual([
      ['no', 'no'],
      ['yes', 'yes'],
    ]);
    expect([onArm('a', 'tags: [none]'), onArm('b', 'tags: [none]')]).toEqual([
      ['no', 'no'],
      ['no', 'no'],
    ]);
  });
});

describe('what happens', () => {
  const bought = 'buys: main-kit';
  it.each([
    ['purchased: main-kit', bought, ['a'], ['c'], ['early', 'late']],
    ['event: call', 'event: call', ['a'], ['c'], ['early', 'late']],
    ['tag: hot', 'tag: hot', ['a'], ['c'], ['early', 'late']],
    ['member: main-kit', bought, ['a'], ['c'], ['early', 'late']],
    ['member: main-kit, state: ended', bought, ['a', 'b'], ['b', 'c'], ['late']],
  ])(
    'begins a sequence, ends it or leads to a goal at that moment: %s',
    (asked, action, left, reached, joined) => {
      const does = `does: [{ ${action}, after: 1 hour }]`;
      const three = `- ${mail('a')}\n- ${mail('b', ', delay: 12 hours')}\n- ${mail('c', ', delay: 1 day')}`;
      expect(mailsTo(does, three, `exitOn: [{ ${asked} }]`)).toEqual(left);
      expect(mailsTo('tags: [none]', three, `exitOn: [{ ${asked} }]`)).toEqual(['a', 'b', 'c']);
      const goal = `- { key: half, wait: 12 hours }\n- ${mail('b')}\n- { key: day, wait: 1 day }
- { key: there, goal: { ${asked} }, otherwise: end }\n- ${mail('c')}`;
      expect(mailsTo(does, goal)).toEqual(reached);
      expect(mailsTo('tags: [none]', goal)).toEqual(['b']);
      const begun = `- ${mail('early', ', expires: "2026-03-02 20:00"')}\n- ${mail('late')}`;
      expect(mailsTo(`signsUp: false, ${does}`, begun, `enterOn: [{ ${asked} }]`)).toEqual(joined);
    },
  );
});
