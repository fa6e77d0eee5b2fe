import type { Condition, Leaf } from '../../segments/condition.js';
import type { FieldDefinition } from '../../subscribers/field.js';
import { fieldLeafOf, valuesOfField } from './segment-field-form.js';
import { inputsOf, isLeafKind, LEAVES, type LeafKind, SELECTORS } from './segment-leaves.js';

/** How the conditions of a group go together. */
export const MATCHES = [
  { value: 'all', label: 'all of these' },
  { value: 'any', label: 'any of these' },
  { value: 'none', label: 'none of these' },
  { value: 'notAll', label: 'not all of these' },
] as const;
type Match = (typeof MATCHES)[number]['value'];

interface TypedGroup {
  match: Match;
  parts: TypedNode[];
}

/** One line: what is asked, and the rest of the question by the names of its inputs. `kind` is empty while nothing is chosen. */
export interface TypedLeaf {
  not: boolean;
  kind: LeafKind | '';
  values: Record<string, string>;
}

export type TypedNode = TypedGroup | TypedLeaf;

export interface SegmentTyped {
  title: string;
  root: TypedGroup;
}

/** Of nodes that are read, shown and kept: what a segment may hold. */
const MAX_NODES = 100;
/** Of groups within groups: with the conditions in the last, what a segment may hold. */
const MAX_GROUPS_DEEP = 6;
const MAX_TYPED_CHARS = 4_000;
/** The names of fields begin with it; `c.0.1` is the second part of the first part. */
export const ROOT = 'c';
export const EMPTY_LEAF: TypedLeaf = { not: false, kind: '', values: {} };

export function isGroup(node: TypedNode): node is TypedGroup {
  return 'match' in node;
}

/** A segment as the form shows it: any tree, where a `not` is part of the group or of the line that it stands before. */
export function typedOfSegment(title: string, conditions: Condition): SegmentTyped {
  const root = typedOf(conditions, false);
  return { title, root: isGroup(root) ? root : { match: 'all', parts: [root] } };
}

function typedOf(condition: Condition, not: boolean): TypedNode {
  if ('not' in condition)
    return not ? { match: 'none', parts: [typedOf(condition, false)] } : typedOf(condition.not, true);
  if ('all' in condition)
    return { match: not ? 'notAll' : 'all', parts: condition.all.map((one) => typedOf(one, false)) };
  if ('any' in condition)
    return { match: not ? 'none' : 'any', parts: condition.any.map((one) => typedOf(one, false)) };
  return typedOfLeaf(condition, not);
}

function typedOfLeaf(leaf: Leaf, not: boolean): TypedLeaf {
  if ('field' in leaf) return { not, kind: 'field', values: valuesOfField(leaf) };
  const kind = Object.keys(leaf).find(isLeafKind);
  if (kind === undefined) throw new Error('a condition that the form does not know');
  const given: unknown = Reflect.get(leaf, kind);
  if (LEAVES[kind].shape === 'values') return { not, kind, values: { [kind]: [given].flat().join(',') } };
  if (LEAVES[kind].shape === 'value') return { not, kind, values: { [kind]: String(given) } };
  const values = Object.fromEntries(
    Object.entries(given ?? {}).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)] as const],
    ),
  );
  return { not, kind, values: { ...selectorsOf(values), ...values } };
}

/** What the selectors say when these properties are there. */
function selectorsOf(values: Readonly<Record<string, string>>): Record<string, string> {
  const { broadcast, funnel, withinDays, since, until } = values;
  return {
    when: withinDays !== undefined ? 'last' : (since ?? until) !== undefined ? 'between' : 'any',
    mail: broadcast !== undefined ? 'broadcast' : funnel !== undefined ? 'funnel' : 'any',
  };
}

/** The fields of a POST; what is none of the form's is left out, and what a segment cannot hold is not read. */
export function segmentTypedFrom(body: unknown): SegmentTyped {
  const given = new Map<string, string>(
    (typeof body === 'object' && body !== null ? Object.entries(body) : []).flatMap(([name, value]) => {
      const texts = [value as unknown].flat().filter((one) => typeof one === 'string');
      return texts.length === 0 ? [] : [[name, texts.join(',').trim().slice(0, MAX_TYPED_CHARS)] as const];
    }),
  );
  const budget = { nodes: MAX_NODES };
  const root = readNode(given, ROOT, 0, budget);
  return {
    title: (given.get('title') ?? '').slice(0, 200),
    root: isGroup(root) ? root : { match: 'all', parts: [] },
  };
}

function readNode(
  given: ReadonlyMap<string, string>,
  path: string,
  depth: number,
  budget: { nodes: number },
): TypedNode {
  budget.nodes -= 1;
  const match = MATCHES.find(({ value }) => value === given.get(`${path}.match`))?.value;
  if (match !== undefined) {
    const parts: TypedNode[] = [];
    const has = (name: string): boolean => given.has(`${name}.kind`) || given.has(`${name}.match`);
    for (let index = 0; depth <= MAX_GROUPS_DEEP && has(`${path}.${index}`) && budget.nodes > 0; index += 1)
      parts.push(readNode(given, `${path}.${index}`, depth + 1, budget));
    return { match, parts };
  }
  const kind = given.get(`${path}.kind`) ?? '';
  if (!isLeafKind(kind)) return { ...EMPTY_LEAF, not: given.get(`${path}.not`) === 'yes' };
  const names = LEAVES[kind].inputs.map(({ name }) => name);
  const values = Object.fromEntries(names.map((name) => [name, given.get(`${path}.${name}`) ?? '']));
  return { not: given.get(`${path}.not`) === 'yes', kind, values };
}

export function countNodes(node: TypedNode): number {
  return isGroup(node) ? node.parts.reduce((sum, part) => sum + countNodes(part), 1) : 1;
}

/** Whether one more condition, and one more group, may stand in a group so many groups deep. */
export function mayAdd(typed: SegmentTyped, depth: number): { leaf: boolean; group: boolean } {
  const room = MAX_NODES - countNodes(typed.root);
  return { leaf: room >= 1, group: room >= 2 && depth < MAX_GROUPS_DEEP };
}

/** The form after one of its buttons: `add:c`, `group:c.1`, `remove:c.1.0`. What is not possible changes nothing. */
export function afterEdit(typed: SegmentTyped, action: string): SegmentTyped {
  const [verb = '', path = ''] = action.split(':');
  const places = path.split('.').slice(1).map(Number);
  const depth = places.length;
  const may = mayAdd(typed, depth);
  const added: TypedNode | null =
    verb === 'add' && may.leaf
      ? EMPTY_LEAF
      : verb === 'group' && may.group
        ? { match: 'any', parts: [EMPTY_LEAF] }
        : null;
  const root = edited(typed.root, places, (node) => {
    if (verb === 'remove') return null;
    return added !== null && isGroup(node) ? { ...node, parts: [...node.parts, added] } : node;
  });
  return { ...typed, root: root !== null && isGroup(root) ? root : typed.root };
}

/** The tree with another node at the place; null takes the node away. */
function edited(
  node: TypedNode,
  [place, ...rest]: readonly number[],
  change: (node: TypedNode) => TypedNode | null,
): TypedNode | null {
  if (place === undefined) return change(node);
  if (!isGroup(node)) return node;
  const parts = node.parts.flatMap((part, index) =>
    index === place ? (edited(part, rest, change) ?? []) : [part],
  );
  return { ...node, parts };
}

/** Where in the form a part of the conditions was typed: `all.1.not` is about `c.2` when the second line was left out. */
export type Places = Map<string, { path: string; node: TypedNode }>;

/** The conditions that were typed, still to be checked, and where each part of them stands; null when nothing was typed. */
export function conditionsTyped(
  { root }: SegmentTyped,
  definitions: ReadonlyMap<string, FieldDefinition>,
): { conditions: object | null; places: Places } {
  const places: Places = new Map();
  const conditions = conditionOf(root, { path: ROOT, below: '' }, { definitions, places });
  const isEmpty = root.parts.every((part) => !isGroup(part) && part.kind === '');
  return { conditions: isEmpty ? null : conditions, places };
}

interface Where {
  /** In the form. */
  path: string;
  /** In the conditions, with a dot behind it unless it is the whole. */
  below: string;
}

interface Ground {
  definitions: ReadonlyMap<string, FieldDefinition>;
  places: Places;
}

function conditionOf(node: TypedNode, { path, below }: Where, ground: Ground): object {
  const at = below.replace(/\.$/, '');
  ground.places.set(at, { path, node });
  const not = isGroup(node) ? node.match === 'none' || node.match === 'notAll' : node.not;
  const own = not ? `${below}not` : at;
  if (not) ground.places.set(own, { path, node });
  const inner = isGroup(node)
    ? groupOf(node, { path, below: own === '' ? '' : `${own}.` }, ground)
    : leafOf(node, ground.definitions);
  return not ? { not: inner } : inner;
}

/** Lines in which nothing was chosen are left out. */
function groupOf({ match, parts }: TypedGroup, { path, below }: Where, ground: Ground): object {
  const word = match === 'all' || match === 'notAll' ? 'all' : 'any';
  const typed = parts
    .map((part, index) => ({ part, index }))
    .filter(({ part }) => isGroup(part) || part.kind !== '');
  return {
    [word]: typed.map(({ part, index }, place) =>
      conditionOf(part, { path: `${path}.${index}`, below: `${below}${word}.${place}.` }, ground),
    ),
  };
}

function leafOf({ kind, values }: TypedLeaf, definitions: ReadonlyMap<string, FieldDefinition>): object {
  if (kind === '') return {};
  if (kind === 'field') return fieldLeafOf(values, definitions);
  const { shape } = LEAVES[kind];
  const value = (name: string): string => values[name] ?? '';
  if (shape === 'value') return { [kind]: value(kind) };
  if (shape === 'values')
    return {
      [kind]: value(kind)
        .split(',')
        .filter((one) => one !== ''),
    };
  const entries = inputsOf(kind, values)
    .filter(({ name }) => !SELECTORS.has(name))
    .flatMap((input): [string, string | number][] => {
      const typed = value(input.name);
      // Days of "in the last … days" are asked for, and none is no answer.
      if (input.kind === 'days') return [[input.name, typed === '' ? Number.NaN : Number(typed)]];
      if (input.kind === 'times' && typed !== '') return [[input.name, Number(typed)]];
      return typed === '' && input.isOptional === true ? [] : [[input.name, typed]];
    });
  return { [kind]: Object.fromEntries(entries) };
}
