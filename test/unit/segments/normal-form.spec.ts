import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Condition } from '../../../src/segments/condition.js';
import { below } from '../../../src/segments/field-words.js';
import {
  everyLeaf,
  type NormalForm,
  formOf,
  isMetByNone,
  othersThan,
} from '../../../src/segments/normal-form.js';

const TAGS = ['a', 'b', 'c', 'd'];

const tree = fc.letrec<{ tree: Condition }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.record({ tag: fc.constantFrom(...TAGS) }),
    fc.record({ all: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('tree') }),
  ),
})).tree;

type Leaf = Parameters<Parameters<typeof everyLeaf>[1]>[0];
const has = (leaf: Leaf, tags: readonly string[]): boolean => 'tag' in leaf && tags.includes(leaf.tag);

function meets(condition: Condition, tags: readonly string[]): boolean {
  if ('all' in condition) return condition.all.every((one) => meets(one, tags));
  if ('any' in condition) return condition.any.some((one) => meets(one, tags));
  return 'not' in condition ? !meets(condition.not, tags) : has(condition, tags);
}

function meetsForm(form: NormalForm, tags: readonly string[]): boolean {
  if ('all' in form) return form.all.every((one) => meetsForm(one, tags));
  if ('any' in form) return form.any.some((one) => meetsForm(one, tags));
  return has(form.leaf, tags) === form.is;
}

/** Whether no part is of the kind of the whole, and none stands alone. */
function isFlat(form: NormalForm): boolean {
  if ('leaf' in form) return true;
  const [kind, parts] = 'all' in form ? (['all', form.all] as const) : (['any', form.any] as const);
  return parts.length > 1 && parts.every((part) => !(kind in part) && isFlat(part));
}

it('the form of a tree means the same, whatever was typed, and so does its opposite', () => {
  fc.assert(
    fc.property(tree, fc.subarray(TAGS), (condition, tags) => {
      const form = formOf(condition);
      expect(isFlat(form)).toBe(true);
      expect(meetsForm(form, tags)).toBe(meets(condition, tags));
      expect(meetsForm(othersThan(form), tags)).toBe(!meets(condition, tags));
      expect(isMetByNone(form)).toBe(meets(condition, []));
      expect(everyLeaf(form, (leaf) => has(leaf, tags))).toBe(everyTag(condition, tags));
    }),
  );
});

function everyTag(condition: Condition, tags: readonly string[]): boolean {
  if ('all' in condition) return condition.all.every((one) => everyTag(one, tags));
  if ('any' in condition) return condition.any.every((one) => everyTag(one, tags));
  return 'not' in condition ? everyTag(condition.not, tags) : has(condition, tags);
}

it('the number below another is the next one that a double can hold', () => {
  for (const value of [
    0,
    -0,
    1,
    -1,
    60,
    2.5,
    -1e9,
    Number.MIN_VALUE,
    -Number.MIN_VALUE,
    Number.MAX_VALUE,
    1e-300,
  ]) {
    const next = below(value);
    expect(next).toBeLessThan(value);
    // None lies between them.
    const middle = value / 2 + next / 2;
    expect(Math.abs(value) < 1e-300 || middle === value || middle === next).toBe(true);
  }
  expect(below(Number.MIN_VALUE)).toBe(0);
  expect(below(-Number.MAX_VALUE)).toBe(-Infinity);
});
