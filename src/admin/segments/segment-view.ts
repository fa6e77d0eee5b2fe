import { COLUMN_KEYS, type FieldDefinition } from '../../subscribers/field.js';
import { operatorsOf, type ValueKind, valueKindOf } from './segment-field-form.js';
import {
  isGroup,
  MATCHES,
  mayAdd,
  ROOT,
  type SegmentTyped,
  type TypedLeaf,
  type TypedNode,
} from './segment-form.js';
import {
  type Choice,
  inputsOf,
  KIND_GROUPS,
  type LeafInput,
  LEAVES,
  type NameList,
  SELECTORS,
} from './segment-leaves.js';
import { numberOf, type SegmentProblem } from './segment-problems.js';

export type Names = Readonly<Record<NameList, readonly Choice[]>>;

const COLUMN_WORDS: Readonly<Record<(typeof COLUMN_KEYS)[number], string>> = {
  email: 'Email address',
  emailDomain: 'Domain of the address',
  name: 'Name',
  timeZone: 'Time zone',
  locale: 'Language',
};
const AFFILIATE_WORDS: readonly Choice[] = [
  { value: 'any', label: 'any of them' },
  { value: 'self', label: 'nobody: they are affiliates themselves' },
];

/** Columns and own fields, as they are called in the form. */
export function fieldChoices(definitions: ReadonlyMap<string, FieldDefinition>): Choice[] {
  return [
    ...[...definitions.values()].map(({ key, label }) => ({ value: key, label })),
    ...COLUMN_KEYS.map((key) => ({ value: key, label: COLUMN_WORDS[key] })),
  ];
}

interface Ground {
  typed: SegmentTyped;
  names: Names;
  definitions: ReadonlyMap<string, FieldDefinition>;
  errors: Readonly<Record<string, string>>;
}

/** The tree as the page draws it. */
export function treeView(
  typed: SegmentTyped,
  names: Names,
  definitions: ReadonlyMap<string, FieldDefinition>,
  problems: readonly SegmentProblem[],
): object {
  const errors: Record<string, string> = {};
  for (const { name, message } of problems) errors[name] ??= message;
  return nodeView(typed.root, ROOT, 0, { typed, names, definitions, errors });
}

function nodeView(node: TypedNode, path: string, depth: number, ground: Ground): object {
  const common = { path, number: numberOf(path), isRoot: path === ROOT };
  if (!isGroup(node)) return { ...common, ...leafView(node, path, ground), isGroup: false };
  const may = mayAdd(ground.typed, depth);
  return {
    ...common,
    ...{ isGroup: true, match: node.match, matches: MATCHES, mayAdd: may.leaf, mayNest: may.group },
    error: ground.errors[`${path}.match`] ?? '',
    parts: node.parts.map((part, index) => nodeView(part, `${path}.${index}`, depth + 1, ground)),
  };
}

function leafView({ not, kind, values }: TypedLeaf, path: string, ground: Ground): object {
  if (kind === '') return { not, kind, groups: KIND_GROUPS, inputs: [] };
  const shown = new Set(inputsOf(kind, values));
  // Those of another choice are drawn, too, and come to sight with it.
  const inputs = LEAVES[kind].inputs.flatMap((input) => inputView(input, values, path, ground) ?? []);
  return { not, kind, groups: KIND_GROUPS, inputs, shown: shown.size };
}

interface InputView {
  id: string;
  label: string;
  as: 'select' | 'text' | 'checks';
  className: string;
  value: string;
  error: string;
  options?: readonly (Choice & { isChosen?: boolean })[];
  list?: string;
  placeholder?: string;
  mode?: string;
  type?: string;
  /** A change of it changes what else is asked. */
  isShape?: boolean;
}

function inputView(
  input: LeafInput,
  values: Readonly<Record<string, string>>,
  path: string,
  ground: Ground,
): InputView | null {
  const { name, label, of } = input;
  const value = values[name] ?? '';
  const id = `${path}.${name}`;
  const className = of === undefined ? '' : `of-${of}`;
  const common = { id, label, value, className, error: ground.errors[id] ?? '' };
  switch (input.kind) {
    case 'choice':
      return {
        ...common,
        as: 'select',
        options: input.options,
        className: SELECTORS.has(name) ? `sel-${name}` : className,
      };
    case 'many': {
      const chosen = value.split(',');
      const options = input.options.map((one) => ({ ...one, isChosen: chosen.includes(one.value) }));
      return { ...common, as: 'checks', options };
    }
    case 'known':
      return {
        ...common,
        as: 'select',
        options: knownOptions(input, value, ground.names),
        isShape: name === 'field',
      };
    case 'name':
      return { ...common, as: 'text', list: input.names, placeholder: input.placeholder };
    case 'days':
      return { ...common, as: 'text', mode: 'numeric', placeholder: '30' };
    case 'times':
      return { ...common, as: 'text', mode: 'numeric', placeholder: '1' };
    case 'moment':
      return { ...common, as: 'text', ...dayType(value) };
    case 'operator':
    case 'value':
      return fieldInput(input, common, values, ground);
  }
}

/** A moment with a time of day, as the API takes it, has no place in a field for days. */
function dayType(value: string): { type?: string; placeholder: string } {
  const isDay = value === '' || /^\d{4}-\d{2}-\d{2}$/.test(value);
  return { placeholder: '2026-01-31', ...(isDay ? { type: 'date' } : {}) };
}

function knownOptions(
  input: Extract<LeafInput, { kind: 'known' }>,
  value: string,
  names: Names,
): readonly Choice[] {
  const words = input.names === 'affiliates' ? AFFILIATE_WORDS : [];
  const all = [{ value: '', label: input.empty ?? '– choose –' }, ...words, ...names[input.names]];
  // What was chosen and is not there any more, or is not among the newest, stays what it is.
  return all.some((one) => one.value === value) ? all : [...all, { value, label: value }];
}

const TYPED: Readonly<Record<ValueKind, Partial<InputView>>> = {
  none: {},
  text: { placeholder: 'value' },
  names: { placeholder: 'one, two, "three, or four"' },
  number: { mode: 'decimal', placeholder: 'a number' },
  days: { mode: 'numeric', placeholder: 'days' },
  date: { type: 'date', placeholder: '2026-01-31' },
  boolean: {},
  choice: {},
};

function fieldInput(
  input: LeafInput,
  common: Pick<InputView, 'id' | 'label' | 'value' | 'className' | 'error'>,
  values: Readonly<Record<string, string>>,
  { definitions }: Ground,
): InputView | null {
  const definition = definitions.get(values['field'] ?? '');
  const operators = operatorsOf(definition);
  if (input.kind === 'operator') return { ...common, as: 'select', options: operators, isShape: true };
  const op = operators.find(({ value }) => value === values['op'])?.value ?? operators[0]?.value ?? 'is';
  const kind = valueKindOf(op, definition);
  if (kind === 'none') return null;
  const options =
    kind === 'boolean'
      ? [
          { value: 'true', label: 'yes' },
          { value: 'false', label: 'no' },
        ]
      : kind === 'choice'
        ? (definition?.choices ?? []).map((one) => ({ value: one, label: one }))
        : null;
  if (options !== null) return { ...common, as: 'select', options };
  const isDay = kind === 'date' && !/^(\d{4}-\d{2}-\d{2})?$/.test(common.value);
  return { ...common, as: 'text', ...(isDay ? { placeholder: '2026-01-31' } : TYPED[kind]) };
}
