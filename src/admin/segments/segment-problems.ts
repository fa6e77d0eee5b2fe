import { leafSchemas } from '../../segments/condition.js';
import { inputsOf, type LeafInput, LEAVES } from './segment-leaves.js';
import { isGroup, type Places, type TypedLeaf, type TypedNode } from './segment-form.js';

/** What is wrong, at which input of the form. */
export interface SegmentProblem {
  /** Of the input, empty for the form as a whole. */
  name: string;
  label: string;
  message: string;
}

/** `c.1.0` is the first part of the second one, and is called 2.1. */
export function numberOf(path: string): string {
  return path
    .split('.')
    .slice(1)
    .map((place) => String(Number(place) + 1))
    .join('.');
}

/** What was typed that no condition can have: each line by the schema of what it asks, in the words of the form. */
export function shapeProblems(places: Places, leafAt: (place: string) => unknown): SegmentProblem[] {
  const seen = new Set<string>();
  return [...places].flatMap(([place, { path, node }]): SegmentProblem[] => {
    if (isGroup(node)) {
      const isEmpty = !node.parts.some((part) => isGroup(part) || part.kind !== '');
      if (!isEmpty || path === 'c' || seen.has(path)) return [];
      seen.add(path);
      const message = 'add a condition to it, or remove it';
      return [{ name: `${path}.match`, label: `Group ${numberOf(path)}`, message }];
    }
    const leaf = leafAt(place);
    if (node.kind === '' || leaf === undefined) return [];
    const checked = leafSchemas[node.kind].safeParse(leaf);
    if (checked.success) return [];
    const names = checked.error.issues.map(({ path: at }) => String(at.at(-1) ?? ''));
    const inputs = inputsOf(node.kind, node.values);
    const wrong = inputs.filter(({ name }) => names.includes(name));
    return (wrong.length > 0 ? wrong : inputs.slice(0, 1)).map((input) =>
      problemAt({ path, node }, input, input.advice),
    );
  });
}

/** What cannot be asked of what is there: no such list, a value that is none of the field's. */
export function ruleProblems(
  errors: readonly { field: string; message: string }[],
  places: Places,
): SegmentProblem[] {
  return errors.map(({ field, message }) => {
    const place = places.get(field.replace(/^conditions\.?/, ''));
    if (place === undefined || isGroup(place.node)) return { name: '', label: '', message };
    const { path, node } = place;
    return problemAt({ path, node }, inputNamed(node, message), message.replace(/^value /, ''));
  });
}

/** The input that a refusal speaks of: `value must be`, or whose name stands in it. */
function inputNamed(node: TypedLeaf, message: string): LeafInput | undefined {
  if (node.kind === '') return undefined;
  const inputs = inputsOf(node.kind, node.values);
  const spoken = inputs.filter(({ name }) => node.values[name] && message.includes(`"${node.values[name]}`));
  const [first] = message.startsWith('value ') ? inputs.filter(({ kind }) => kind === 'value') : spoken;
  return first ?? inputs[0];
}

function problemAt(
  { path, node }: { path: string; node: TypedNode },
  input: LeafInput | undefined,
  message: string,
): SegmentProblem {
  const what = isGroup(node) || node.kind === '' ? '' : LEAVES[node.kind].label;
  const more = input === undefined || LEAVES_OF_ONE.has(input.name) ? '' : `, ${input.label}`;
  return {
    name: input === undefined ? path : `${path}.${input.name}`,
    label: `Condition ${numberOf(path)} (${what}${more})`,
    message,
  };
}

/** Inputs that say no more than what is asked. */
const LEAVES_OF_ONE: ReadonlySet<string> = new Set(
  Object.values(LEAVES).flatMap(({ inputs, shape }) =>
    shape === 'object' || shape === 'open' ? [] : inputs.map(({ name }) => name),
  ),
);
