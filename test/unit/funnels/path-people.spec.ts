import { describe, expect, it } from 'vitest';
import { BUYS, LEAVES, STAYS, drawnWays, withoutQuestions } from '../../../src/funnels/forecast/choices.js';
import { pathsFrom } from '../../../src/funnels/forecast/paths.js';
import { virtualFunnels } from '../../../src/funnels/simulation/virtual-sequences.js';
import { placeIn, type MoveMode, type Standing } from '../../../src/sequences/moves/placement.js';
import { prepareSequence } from '../../../src/sequences/steps/prepared.js';
import { arm, compiled, file, mail, read, split, TWO } from './path-files.js';

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
        ...{ waitUntil: null, timeZone: null, had: null, done: null, owns: null },
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
