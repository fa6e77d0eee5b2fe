import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterEdit,
  conditionsTyped,
  countNodes,
  EMPTY_LEAF,
  isGroup,
  mayAdd,
  segmentTypedFrom,
  typedOfSegment,
} from '../../../../src/admin/segments/segment-form.js';
import type { SegmentTyped, TypedNode } from '../../../../src/admin/segments/segment-form.js';
import { inputsOf, type LeafKind, LEAVES } from '../../../../src/admin/segments/segment-leaves.js';
import { shapeProblems } from '../../../../src/admin/segments/segment-problems.js';
import {
  type Condition,
  conditionSchema,
  leafSchemas,
  leavesOf,
} from '../../../../src/segments/condition.js';
import { formOf } from '../../../../src/segments/normal-form.js';
import { DEFINITIONS } from '../../../db/segments/people.js';
import { tree as conditionTree } from '../../../db/segments/trees.js';

/** As a browser sends the form that the page draws. */
function bodyOf(typed: SegmentTyped): Record<string, string | string[]> {
  const body: Record<string, string | string[]> = { title: typed.title };
  const send = (node: TypedNode, path: string): void => {
    if (isGroup(node)) {
      body[`${path}.match`] = node.match;
      node.parts.forEach((part, index) => send(part, `${path}.${index}`));
      return;
    }
    Object.assign(body, { [`${path}.kind`]: node.kind, [`${path}.not`]: node.not ? 'yes' : 'no' });
    for (const [name, value] of Object.entries(node.values))
      body[`${path}.${name}`] = node.kind === 'status' ? value.split(',') : value;
  };
  send(typed.root, 'c');
  return body;
}
const typedOf = (parts: TypedNode[]): SegmentTyped => ({ title: '', root: { match: 'all', parts } });
const problemsOf = (typed: SegmentTyped): { name: string; label: string; message: string }[] => {
  const { conditions, places } = conditionsTyped(typed, DEFINITIONS);
  const leaves = new Map(leavesOf(conditions as Condition).map(({ leaf, path }) => [path, leaf]));
  return shapeProblems(places, (place) => leaves.get(place));
};

describe('the form of a segment', () => {
  it('shows every tree that segments know and gives the same people back, whatever stands in it', () => {
    fc.assert(
      fc.property(conditionTree, (tree) => {
        fc.pre(conditionSchema.safeParse(tree).success);
        // An empty name in a list of values cannot be typed.
        fc.pre(
          leavesOf(tree).every(
            ({ leaf }) => !('op' in leaf && leaf.op === 'oneOf' && leaf.value.includes('')),
          ),
        );
        const typed = segmentTypedFrom(bodyOf(typedOfSegment('A', tree)));
        const { conditions } = conditionsTyped(typed, DEFINITIONS);
        expect(formOf(conditions as Condition)).toEqual(formOf(tree));
      }),
      { numRuns: 500 },
    );
  });

  it('can ask whatever a segment can be asked', () => {
    expect(Object.keys(LEAVES).toSorted()).toEqual(Object.keys(leafSchemas).toSorted());
  });

  it.each(Object.keys(LEAVES) as LeafKind[])(
    'says at which input of %s something is missing, in its own words',
    (kind) => {
      const { inputs } = LEAVES[kind];
      const selected = inputs.some(({ name }) => name === 'mail') ? ['broadcast', 'funnel'] : [''];
      for (const mail of selected) {
        const values = { mail, when: 'last' };
        const needed = inputsOf(kind, values).filter(
          (input) => input.isOptional !== true && !['choice', 'operator'].includes(input.kind),
        );
        const found = problemsOf(typedOf([{ not: true, kind, values }]));
        for (const input of kind === 'field' ? needed.slice(0, 1) : needed)
          expect(found).toContainEqual({
            name: `c.0.${input.name}`,
            label: expect.stringContaining(`Condition 1 (${LEAVES[kind].label}`) as string,
            message: input.advice,
          });
      }
    },
  );

  it('names the line as it is shown, also behind one in which nothing was chosen and inside of groups', () => {
    const wrong: TypedNode = { not: true, kind: 'list', values: { list: '' } };
    const nested: TypedNode = {
      match: 'none',
      parts: [EMPTY_LEAF, { match: 'notAll', parts: [wrong, wrong] }],
    };
    expect(problemsOf(typedOf([EMPTY_LEAF, wrong, nested])).map(({ name, label }) => [name, label])).toEqual([
      ['c.1.list', 'Condition 2 (are on the list)'],
      ['c.2.1.0.list', 'Condition 3.2.1 (are on the list)'],
      ['c.2.1.1.list', 'Condition 3.2.2 (are on the list)'],
    ]);
    const hollow = typedOf([{ match: 'any', parts: [EMPTY_LEAF] }]);
    expect(problemsOf(hollow)).toEqual([
      { name: 'c.0.match', label: 'Group 1', message: 'add a condition to it, or remove it' },
    ]);
  });

  it('adds, nests and removes at any depth, and no more than a segment holds', () => {
    let typed = typedOf([]);
    for (const action of [
      'add:c',
      'group:c',
      'add:c.1',
      'group:c.1',
      'remove:c.1.0',
      'remove:c.0',
      'remove:c',
      'add:c.9',
      'x:y',
    ])
      typed = afterEdit(typed, action);
    expect(typed.root).toEqual({
      match: 'all',
      parts: [{ match: 'any', parts: [EMPTY_LEAF, { match: 'any', parts: [EMPTY_LEAF] }] }],
    });
    let deep = typedOf([]);
    for (let path = 'c', depth = 0; depth < 12; depth += 1, path += '.0')
      deep = afterEdit(deep, `group:${path}`);
    const filled = JSON.parse(
      JSON.stringify(deep)
        .replaceAll('"kind":""', '"kind":"tag"')
        .replaceAll('"values":{}', '"values":{"tag":"x"}'),
    ) as SegmentTyped;
    expect(conditionSchema.safeParse(conditionsTyped(filled, DEFINITIONS).conditions).success).toBe(true);
    expect(segmentTypedFrom(bodyOf(filled)).root).toEqual(filled.root);
    const full = Array.from({ length: 150 }).reduce<SegmentTyped>(
      (form) => afterEdit(form, 'add:c'),
      typedOf([]),
    );
    expect([countNodes(full.root), mayAdd(full, 0).leaf]).toEqual([100, false]);
    const many = typedOf(
      Array.from({ length: 300 }, () => ({ not: false, kind: 'tag' as const, values: { tag: 'x' } })),
    );
    expect(countNodes(segmentTypedFrom(bodyOf(many)).root)).toBe(100);
  });
});
