import { describe, expect, it } from 'vitest';
import { BUYS, LEAVES, STAYS, drawnWays, withoutQuestions } from '../../../src/funnels/forecast/choices.js';
import { pathsFrom } from '../../../src/funnels/forecast/paths.js';
import { changeText, funnelDiff } from '../../../src/funnels/funnel-diff.js';
import { readFunnelFile, writeFunnelFile } from '../../../src/funnels/funnel-file.js';
import { lintDefinition } from '../../../src/funnels/lint/lint.js';
import { sequenceDefinition } from '../../../src/funnels/sequence-definition.js';
import { virtualFunnels } from '../../../src/funnels/simulation/virtual-sequences.js';
import type { SequenceDefinition, SplitNode } from '../../../src/sequences/definition.js';
import { placeIn, type MoveMode, type Standing } from '../../../src/sequences/placement.js';
import { prepareSequence } from '../../../src/sequences/prepared.js';

const DAY = 86_400;
/** A day of the calendar at most. */
const LONG_DAY = DAY + 3 * 3_600;

const file = (steps: string, sequence = 'priority: 5'): string => `funnel: course
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: course, headline: Get it, consent: Send it to me }
sequence:
  ${sequence}
  steps:
${steps
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
products:
  - { key: kit, name: Kit, price: 49.00 EUR, delivers: [files/kit.zip] }
offers:
  - { key: kit, product: kit }
`;
const read = (text: string) => {
  const found = readFunnelFile(text);
  if (!found.ok) throw new Error(JSON.stringify(found.problems));
  return found;
};
/** Line, place and words of all that is wrong. */
const wrong = (text: string): string[] => {
  const found = readFunnelFile(text);
  if (!found.ok) return found.problems.map(({ line, field, message }) => `${line} ${field}: ${message}`);
  return lintDefinition(found.definition, { now: new Date('2026-01-01'), others: [] }).map(
    ({ path, message }) => `${found.lineOf(path)} ${path.join('.')}: ${message}`,
  );
};
const compiled = (steps: string, sequence?: string): SequenceDefinition => {
  expect(wrong(file(steps, sequence))).toEqual([]);
  return sequenceDefinition(read(file(steps, sequence)).definition, {
    templateId: (key) => key,
    offer: () => undefined,
  });
};
const splitIn = (steps: string, sequence?: string): SplitNode => {
  const node = compiled(steps, sequence).nodes.find(({ kind }) => kind === 'split');
  if (node?.kind !== 'split') throw new Error('no split was compiled');
  return node;
};
const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
const arm = (key: string, ...steps: string[]): string => `{ key: ${key}, steps: [${steps.join(', ')}] }`;
const split = (arms: string[], more = 'judge: revenue', key = 'fork'): string =>
  `- { key: ${key}, split: { ${more}, arms: [${arms.join(', ')}] } }`;
const TWO = [
  arm('short', mail('s1')),
  arm('long', mail('l1', ', delay: 2 days'), mail('l2', ', delay: 1 day')),
];

describe('a split test of paths', () => {
  it('leads each arm down its own steps, all of them on behind it, and who is held out straight there', () => {
    const { nodes } = compiled(`${split(TWO, 'judge: revenue, holdout: 10%')}\n- ${mail('after')}`);
    expect(nodes.map((node) => [node.key, 'next' in node ? node.next : null])).toEqual([
      ['fork', 'after'],
      ['s1', 'after'],
      ['l1', 'l2'],
      ['l2', 'after'],
      ['after', null],
    ]);
    expect(nodes[0]).toMatchObject({
      arms: [
        { key: 'short', to: 's1' },
        { key: 'long', to: 'l1' },
      ],
    });
    const empty = splitIn(`${split([arm('none'), arm('one', mail('s1'))])}\n- ${mail('after')}`);
    expect(empty.arms).toEqual([
      { key: 'none', to: 'after' },
      { key: 'one', to: 's1' },
    ]);
  });

  it('is written back as it was read, and its changes are told by arm and by step', () => {
    const { definition } = read(file(split(TWO, 'judge: revenue, holdout: 10%, within: 5 days')));
    const again = readFunnelFile(writeFunnelFile(definition));
    expect(again.ok && again.definition).toEqual(definition);
    const other = read(file(split([arm('short', mail('s1'), mail('s2')), TWO[1] ?? '']))).definition;
    const changes = funnelDiff({ definition, sources: {} }, { definition: other, sources: {} });
    expect(changes.map(changeText).map((text) => text.slice(0, 40))).toEqual([
      expect.stringMatching(/^~ step fork: split \{"judge":"revenue"/),
      '+ step s2',
    ]);
  });

  it('counts people when the longest path is over and they had their time, and takes as long to fill in', () => {
    const of = (steps: string, sequence?: string) => splitIn(steps, sequence).split.terms;
    expect(of(split(TWO, 'judge: revenue, within: 24 hours'))).toEqual({
      judge: 'revenue',
      arms: [
        { key: 'short', weight: 1 },
        { key: 'long', weight: 1 },
      ],
      alpha: 0.05,
      holdoutBps: 0,
      optimise: null,
      guardRails: { unsubscribes: null, complaints: null },
      withinSeconds: DAY + 2 * DAY + 3 * 3_600 + LONG_DAY,
      horizonSeconds: 60 * DAY + 3 * 3_600 + DAY + 2 * DAY + 3 * 3_600 + LONG_DAY,
      cap: { amountMinor: 4900, currency: 'EUR' },
      isTimed: true,
      paths: { short: ['s1'], long: ['l1', 'l2'] },
    });
    const within = (steps: string[], sequence?: string): number =>
      of(split([arm('none'), arm('one', ...steps)], 'judge: revenue, within: 24 hours'), sequence)
        .withinSeconds - DAY;
    expect(within(['{ key: t, tag: a }', mail('m')])).toBe(0);
    expect(within([mail('m', ', at: "09:00"')])).toBe(LONG_DAY);
    expect(within([mail('m', ', onDays: [mon, tue]')])).toBe(6 * DAY + 3 * 3_600);
    const office = 'window: { days: [mon, tue, wed, thu, fri], from: "08:00", to: "19:00" }';
    // From Friday evening to Monday; who comes at any hour has it at once.
    expect(within([mail('m', ', delay: 5 hours'), mail('n')], office)).toBe(5 * 3_600 + 3 * DAY + 3 * 3_600);
    const asks = `{ key: q, if: { tag: a, within: 48 hours }, then: [${mail('m', ', delay: 24 hours')}], else: [${mail('n')}] }`;
    expect(within([asks])).toBe(3 * DAY);
    const inner = split(
      [arm('x', mail('x1')), arm('y', mail('y1', ', delay: 48 hours'))],
      undefined,
      'inner',
    ).slice(2);
    expect(within([inner])).toBe(2 * DAY);
    const tested = mail('m', ', split: { judge: clicks, arms: [{ key: a }, { key: b, delay: 24 hours }] }');
    expect(within([tested])).toBe(DAY);
  });

  it('allows each mail of a path what one mail is allowed, where it optimises itself', () => {
    const rails = (more: string) => splitIn(split(TWO, `judge: revenue, ${more}`)).split.terms.guardRails;
    expect(rails('optimise: thompson')).toEqual({ unsubscribes: 0.04, complaints: 0.006 });
    expect(rails('optimise: thompson, guardRails: { unsubscribes: 1% }').unsubscribes).toBe(0.01);
  });

  it('is another test as soon as anything on a path is another, and the same whatever comes behind', () => {
    const name = (steps: string): string => splitIn(steps).split.experiment;
    const plain = name(split(TWO));
    expect(plain).toMatch(/^course\/fork\/[0-9a-f]{16}$/);
    expect(name(`- ${mail('before')}\n${split(TWO)}\n- ${mail('after')}`)).toBe(plain);
    expect(
      name(split([TWO[0] ?? '', arm('long', mail('l1', ', delay: 3 days'), mail('l2', ', delay: 1 day'))])),
    ).not.toBe(plain);
    expect(name(split(TWO, 'judge: revenue, alpha: 0.1'))).not.toBe(plain);
  });

  const FORK = 'sequence.steps.0.split';
  it.each([
    [split([arm('a', mail('x'))]), `${FORK}.arms: name at least two arms`],
    [
      split([arm('a', mail('x')), arm('a', mail('y', ', delay: 1 day'))]),
      `${FORK}.arms.1.key: a second arm has the key "a"`,
    ],
    [split([arm('a'), arm('b')]), `${FORK}.arms.1: "b" is the same as "a"; give it other steps`],
    [split([arm('a', mail('x')), arm('b', mail('y'))]), `${FORK}.arms.1: "b" is the same as "a"`],
    [
      split([arm('a', mail('x')), arm('holdout')]),
      `${FORK}.arms.1.key: holdout is what those who get nothing are called`,
    ],
    [split([arm('a', mail('x')), '{ key: b }']), `${FORK}.arms.1.steps: is missing`],
    [
      split([arm('a', mail('x')), '{ key: b, steps: [], subject: Hi }']),
      `${FORK}.arms.1.subject: "subject" is not an option here; there are: key, weight, steps`,
    ],
    [
      split(TWO).replace('split:', 'delay: 1 day, split:'),
      'sequence.steps.0.delay: "delay" is not an option here; there are: key, split',
    ],
    [
      split([arm('a', mail('x', ', colour: red')), arm('b')]),
      `${FORK}.arms.0.steps.0.colour: "colour" is not an option here`,
    ],
    [
      split(TWO, 'judge: revenue, horizon: 3 days, within: 1 day'),
      `${FORK}.horizon: nobody would count: a person counts 5 days after`,
    ],
    [split(TWO, 'judge: revenue, cap: 5.00 USD'), `${FORK}.cap: use the currency of the offers, EUR`],
    [
      split([arm('a', '{ key: g, goal: { tag: vip } }'), arm('b')]),
      `${FORK}.arms.0.steps.0.goal: a goal in an arm would take people there who were not drawn for it`,
    ],
    [
      split([arm('a', `{ key: q, if: { tag: t }, then: [${mail('x', ', until: 2027-01-01')}] }`), arm('b')]),
      `${FORK}.arms.0.steps.0.then.0.until: people count so and so long after coming to the split`,
    ],
    [
      split(TWO, 'judge: clicks'),
      `${FORK}.judge: clicks can judge paths only where each sends everybody the same number of mails, or one wins by sending more: "short" sends 1, "long" sends 2; use revenue`,
    ],
    [
      split([arm('a', '{ key: t, tag: x }'), arm('b', '{ key: u, tag: y }')], 'judge: clicks'),
      `${FORK}.judge: clicks can judge paths only where each`,
    ],
    [
      split(
        [arm('a', mail('x')), arm('b', `{ key: q, if: { tag: t }, then: [${mail('y')}] }`)],
        'judge: clicks',
      ),
      '"b" sends 0 to 1',
    ],
    [
      split([arm('a', mail('x')), arm('b', mail('x', ', delay: 1 day'))]),
      `${FORK}.arms.1.steps.0.key: a second step has the key "x"`,
    ],
    [
      split([arm('a', mail('x')), arm('b', `{ key: q, if: { clicked: x }, then: [${mail('y')}] }`)]),
      `${FORK}.arms.1.steps.0.if: never true, because who comes here has not been at "x"`,
    ],
    [
      split([arm('a', mail('x')), arm('b', `{ key: q, if: { step: x, was: ran }, then: [${mail('y')}] }`)]),
      'who comes here has not been at "x"',
    ],
    [
      `${split(TWO)}\n- { key: q, if: { step: fork, was: skipped }, then: [${mail('y')}] }`,
      '"fork" is never "skipped"; it may be: ran',
    ],
    [
      `${split([arm('a', '{ key: x, end: true }'), arm('b', mail('y'), '{ key: z, end: true }')])}\n- ${mail('w')}`,
      '7 sequence.steps.1: nobody comes to the steps after "fork", all of whose ways end the sequence'.replace(
        '7',
        '9',
      ),
    ],
    [
      split([arm('a', '{ key: x, end: true }', mail('w')), arm('b')]),
      `${FORK}.arms.0.steps.1: nobody comes to the steps after "x"`,
    ],
  ])('%s is refused at its place', (steps, message) => {
    const found = wrong(file(steps));
    expect(found).toEqual([expect.stringContaining(message)]);
  });

  it('may be judged by clicks where every path sends everybody as many mails', () => {
    const both = `{ key: q, if: { tag: t }, then: [${mail('x')}], else: [${mail('y')}] }`;
    expect(splitIn(split([arm('a', both), arm('b', mail('z'))], 'judge: clicks')).split.terms.cap).toBeNull();
  });

  it('is a way round that nobody waits on, if an arm is one', () => {
    const back = (key: string, steps: string): string =>
      file(steps, 'reentry: always')
        .replace('funnel: course', `funnel: ${key}`)
        .replace(/products:[^]*/, '');
    const arms = [arm('a', '{ key: go, move: other }'), arm('b', '{ key: t, tag: x }')];
    const own = read(
      back('course', `- ${mail('m')}\n- { key: fork, split: { judge: clicks, arms: [${arms.join(', ')}] } }`),
    );
    const other = read(back('other', '- { key: back, move: course }'));
    const outline = (definition: typeof own.definition) => ({
      key: definition.funnel,
      definition: sequenceDefinition(definition, { templateId: () => '', offer: () => undefined }),
    });
    const found = lintDefinition(own.definition, {
      now: new Date('2026-01-01'),
      others: [outline(other.definition)],
    });
    expect(found.map(({ rule }) => rule)).toContain('loop-without-delay');
  });
});

describe('people on a path when the sequence is edited', () => {
  const NOW = new Date('2026-02-10T12:00:00Z');
  const at = (day: number): Date => new Date(`2026-02-0${day}T09:00:00Z`);
  const before = prepareSequence(
    compiled(`${split(TWO, 'judge: revenue, holdout: 10%')}\n- ${mail('after', ', delay: 1 day')}`),
  );
  /** At the second mail of the long path. */
  const inside: Standing = {
    status: 'active',
    stepKey: 'l2',
    nextAt: at(9),
    startedAt: at(1),
    endedAt: null,
    timeZone: 'UTC',
    done: [
      { key: 'fork', outcome: 'arm long', at: at(1) },
      { key: 'l1', outcome: 'ran', at: at(3) },
    ],
    had: null,
  };
  const heldOut: Standing = {
    ...inside,
    stepKey: 'after',
    done: [{ key: 'fork', outcome: 'holdout', at: at(1) }],
  };
  const place = (steps: string, standing: Standing, mode: MoveMode = { kind: 'forward-only' }) =>
    placeIn({ from: before, to: prepareSequence(compiled(steps)) }, standing, mode, NOW);
  const LONG = TWO[1] ?? '';
  const SHORT = TWO[0] ?? '';
  const AFTER = `- ${mail('after', ', delay: 1 day')}`;

  it.each([
    [
      'a step is added to the other path',
      `${split([arm('short', mail('s0'), mail('s1')), LONG], 'judge: revenue, holdout: 10%')}\n${AFTER}`,
      'l2',
      'after',
    ],
    [
      'a step is added behind theirs',
      `${split([SHORT, arm('long', mail('l1', ', delay: 2 days'), mail('new'), mail('l2', ', delay: 1 day'))], 'judge: revenue, holdout: 10%')}\n${AFTER}`,
      'new',
      'after',
    ],
    [
      'the rest of their path is gone',
      `${split([SHORT, arm('long', mail('l1', ', delay: 2 days'))], 'judge: revenue, holdout: 10%')}\n${AFTER}`,
      'after',
      'after',
    ],
    // Nothing they have had on a path is there any more: they are drawn anew.
    [
      'their path is gone',
      `${split([SHORT, arm('other', mail('o1', ', delay: 1 day'))], 'judge: revenue, holdout: 10%')}\n${AFTER}`,
      'fork',
      'after',
    ],
    ['nobody is held out any more', `${split(TWO)}\n${AFTER}`, 'l2', 'fork'],
    [
      'the paths change places',
      `${split([LONG, SHORT], 'judge: revenue, holdout: 10%')}\n${AFTER}`,
      'l2',
      'after',
    ],
    [
      'the split is gone, with one path left for all',
      `- ${mail('l1')}\n- ${mail('l2', ', delay: 1 day')}\n${AFTER}`,
      'l2',
      null,
    ],
  ])('%s: those inside and those held out go on where they belong', (_, steps, forInside, forHeldOut) => {
    const goes = (standing: Standing): string | null => {
      const placed = place(steps, standing);
      return placed.kind === 'goes' ? placed.stepKey : null;
    };
    expect([goes(inside), goes(heldOut)]).toEqual([forInside, forHeldOut]);
  });

  it.each([
    ['a split', split(TWO), ['fork', 's1', 'l1', 'l2']],
    [
      'a branch',
      `- { key: fork, if: { tag: old }, then: [${mail('s1')}], else: [${mail('l1')}] }`,
      ['fork', 's1', 'l1'],
    ],
  ])('who catches up with %s that was added goes down its ways', (_, added, steps) => {
    const old = `- ${mail('a')}\n- ${mail('b')}\n- ${mail('c', ', delay: 9 days')}`;
    const to = prepareSequence(compiled(`- ${mail('a')}\n${added}\n${old.slice(old.indexOf('\n') + 1)}`));
    const standing: Standing = {
      ...inside,
      stepKey: 'c',
      done: ['a', 'b'].map((key) => ({ key, outcome: 'ran', at: at(5) })),
    };
    const caughtUp = (since: Date) =>
      placeIn({ from: prepareSequence(compiled(old)), to }, standing, { kind: 'catch-up', since }, NOW);
    const placed = caughtUp(at(4));
    expect(placed).toMatchObject({ stepKey: 'fork', had: { b: 'ran' } });
    expect(steps.filter((key) => placed.kind === 'goes' && placed.had?.[key] !== undefined)).toEqual([]);
    expect(caughtUp(at(6))).toMatchObject({ stepKey: 'c', had: null });
  });
});

describe('a forecast of a split', () => {
  const steps = `${split(TWO, 'judge: revenue, holdout: 20%')}\n- ${mail('after', ', delay: 1 day')}`;
  const ways = (decided: string | null): Record<string, number> => {
    const { definition } = read(file(steps));
    const funnels = virtualFunnels([definition]);
    const versions = new Map(
      [...funnels.versions].map(([key, version]) => [
        key,
        { ...version, sequence: prepareSequence(withoutQuestions(version.sequence.definition)) },
      ]),
    );
    const from = new Date('2026-03-02T09:00:00Z');
    const drawn = drawnWays({
      ...{ sequence: 'course', step: 'fork', arms: [{ key: 'short' }, { key: 'long' }] },
      ...{ shares: [0.75, 0.25], holdoutBps: 2_000, decided },
    });
    const stays = new Map([
      [STAYS, 1e9],
      [LEAVES, 0],
      [BUYS, 0],
    ]);
    const measured = new Map([
      ['way course fork', drawn],
      ...['s1', 'l1', 'l2', 'after'].map((step) => [`mail course ${step}`, stays] as const),
    ]);
    const found = pathsFrom(
      {
        funnels: { ...funnels, versions },
        sequences: new Map([['course', 'course']]),
        measured,
        from,
        until: new Date('2026-04-01'),
      },
      {
        version: 'course',
        sequence: 'course',
        stepKey: 'fork',
        nextAt: from,
        waitUntil: null,
        timeZone: null,
      },
    );
    const all = [...drawn.values()].reduce((sum, one) => sum + one, 0);
    return Object.fromEntries(
      found.map(({ choices, mails }) => {
        const [first] = choices;
        const option = first?.parting.options[first.option] ?? '';
        return [`${option}, ${mails.length} mails`, Math.round(((drawn.get(option) ?? 0) / all) * 100) / 100];
      }),
    );
  };

  it('parts people as the split draws them now, and sends all down the winner once it is decided', () => {
    expect(ways(null)).toEqual({
      'arm short, 2 mails': 0.6,
      'arm long, 3 mails': 0.2,
      'holdout, 1 mails': 0.2,
    });
    expect(ways('long')).toEqual({ 'arm long, 3 mails': 1 });
  });
});
