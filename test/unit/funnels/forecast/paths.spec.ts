import { describe, expect, it } from 'vitest';
import { changeText, funnelDiff } from '../../../../src/funnels/changes/funnel-diff.js';
import { readFunnelFile, writeFunnelFile } from '../../../../src/funnels/yaml/funnel-file.js';
import { lintDefinition } from '../../../../src/funnels/lint/lint.js';
import { sequenceDefinition } from '../../../../src/funnels/publish/sequence-definition.js';
import { arm, compiled, file, mail, read, split, splitIn, TWO, wrong } from '../path-files.js';

const DAY = 86_400;
/** A day of the calendar at most. */
const LONG_DAY = DAY + 3 * 3_600;

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

  it.each([
    ['hello', 'a', ['if.split: "hello" is not a step with a split test before this one; there are: fork']],
    ['fork', 'third', ['if.arm: the split test "fork" has no arm "third"; there are: short, long']],
    ['fork', 'holdout', ['if.arm: the split test "fork" has no arm "holdout"; there are: short, long']],
    ['fork', 'long', []],
  ])('a branch asks on which arm of %s people are, if it is %s', (step, name, problems) => {
    const steps = `- ${mail('hello')}\n${split(TWO)}\n- { key: ask, if: { split: ${step}, arm: ${name} }, then: [${mail('more')}] }`;
    expect(wrong(file(steps))).toEqual(
      problems.map((problem) => expect.stringContaining(`sequence.steps.2.${problem}`) as string),
    );
  });

  it.each([
    ['{ all: [{ split: fork, arm: short }, { split: fork, arm: long }] }', '', 'nobody has both the arms'],
    ['', '{ split: fork, arm: short }', 'the path of arm "short" of "fork" does not lead here'],
    ['', '{ split: fork, arm: long }', 'always true, so nobody takes else'],
    ['', '{ not: { split: fork, arm: long } }', 'nothing but the path of arm "long" of "fork" leads here'],
  ])('what is asked behind it (%s) or on a path (%s) can be answered', (behind, inside, message) => {
    const ask = (key: string, asked: string): string =>
      `{ key: ${key}, if: ${asked}, then: [${mail(`${key}-yes`)}], else: [${mail(`${key}-no`)}] }`;
    const long = arm('long', mail('l1'), ...(inside === '' ? [] : [ask('in', inside)]));
    const steps = `${split([arm('short', mail('s1', ', delay: 1 day')), long])}${behind === '' ? '' : `\n- ${ask('out', behind)}`}`;
    expect(wrong(file(steps))).toEqual([expect.stringContaining(message)]);
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
