import type { Condition, FieldCondition, Leaf, TimeWindow } from '../segments/condition.js';
import { type FieldDefinition, readFieldText } from '../subscribers/field.js';

/** One line of the form: what is asked, about which thing, and the rest of the question. */
export interface ConditionRow {
  not: boolean;
  kind: RowKind | '';
  /** Name or key of the tag, list, product, field and so on. */
  which: string;
  op: string;
  value: string;
  days: string;
}

interface KindChoice {
  value: RowKind;
  label: string;
  /** The list of known names that goes with it. */
  names?: string;
}

/** What a line may ask, in groups. */
export const KIND_GROUPS: readonly { label: string; kinds: readonly KindChoice[] }[] = [
  {
    label: 'They are',
    kinds: [
      { value: 'status', label: 'have the status', names: 'statuses' },
      { value: 'tag', label: 'have the tag', names: 'tags' },
      { value: 'list', label: 'are on the list', names: 'lists' },
      { value: 'field', label: 'have in the field', names: 'fields' },
    ],
  },
  {
    label: 'They did',
    kinds: [
      { value: 'signedUp', label: 'signed up' },
      { value: 'confirmed', label: 'confirmed' },
      { value: 'opened', label: 'opened a mail' },
      { value: 'clicked', label: 'clicked in a mail' },
      { value: 'purchased', label: 'bought', names: 'products' },
      { value: 'member', label: 'are members by', names: 'products' },
      { value: 'memberEnded', label: 'were members by', names: 'products' },
    ],
  },
  {
    label: 'They came through',
    kinds: [
      { value: 'sequence', label: 'were ever in the sequence', names: 'sequences' },
      { value: 'sequenceNow', label: 'are in the sequence', names: 'sequences' },
      { value: 'funnel', label: 'are or were in the funnel', names: 'funnels' },
      { value: 'form', label: 'signed up by the form', names: 'forms' },
      { value: 'affiliate', label: 'came last by the affiliate', names: 'affiliates' },
    ],
  },
];

export function namesOfKind(kind: ConditionRow['kind']): string | null {
  return KIND_GROUPS.flatMap(({ kinds }) => kinds).find(({ value }) => value === kind)?.names ?? null;
}

export interface SegmentTyped {
  title: string;
  match: 'all' | 'any';
  rows: ConditionRow[];
  /** Conditions as JSON, for a tree that lines cannot show; null when the lines count. */
  text: string | null;
}

const ROW_KINDS = [
  'status',
  'tag',
  'list',
  'field',
  'signedUp',
  'confirmed',
  'opened',
  'clicked',
  'purchased',
  'member',
  'memberEnded',
  'sequence',
  'sequenceNow',
  'funnel',
  'form',
  'affiliate',
] as const;
export type RowKind = (typeof ROW_KINDS)[number];

const MAX_ROWS = 20;
const MAX_TEXT_CHARS = 20_000;
const MAX_TYPED_CHARS = 1_000;
export const EMPTY_ROW: ConditionRow = { not: false, kind: '', which: '', op: 'is', value: '', days: '' };

/** A segment as the form shows it: as lines when it is one level deep, else as text. */
export function typedOfSegment(title: string, conditions: Condition): SegmentTyped {
  const [match, parts] =
    'any' in conditions
      ? (['any', conditions.any] as const)
      : (['all', 'all' in conditions ? conditions.all : [conditions]] as const);
  const rows = parts.map(rowOf);
  const known = rows.filter((row) => row !== null);
  if (known.length === rows.length && rows.length <= MAX_ROWS)
    return { title, match, rows: known, text: null };
  return { title, match, rows: [], text: JSON.stringify(conditions, null, 2) };
}

function rowOf(condition: Condition): ConditionRow | null {
  const not = 'not' in condition;
  const leaf = not ? condition.not : condition;
  if ('all' in leaf || 'any' in leaf || 'not' in leaf) return null;
  const row = rowOfLeaf(leaf);
  return row && { ...EMPTY_ROW, ...row, not };
}

function rowOfLeaf(leaf: Leaf): Partial<ConditionRow> | null {
  if ('status' in leaf)
    return leaf.status.length === 1 ? { kind: 'status', which: leaf.status[0] ?? '' } : null;
  if ('tag' in leaf) return { kind: 'tag', which: leaf.tag };
  if ('list' in leaf) return { kind: 'list', which: leaf.list };
  if ('funnel' in leaf) return { kind: 'funnel', which: leaf.funnel };
  if ('form' in leaf) return { kind: 'form', which: leaf.form };
  if ('affiliate' in leaf) return { kind: 'affiliate', which: leaf.affiliate };
  if ('field' in leaf) return fieldRow(leaf);
  if ('sequence' in leaf) {
    const { key, is } = leaf.sequence;
    if (is !== 'ever' && is !== 'active') return null;
    return { kind: is === 'ever' ? 'sequence' : 'sequenceNow', which: key };
  }
  if ('purchased' in leaf) {
    const days = daysOf(leaf.purchased);
    return days && { kind: 'purchased', which: leaf.purchased.product ?? '', ...days };
  }
  if ('member' in leaf) {
    const { product = '', is } = leaf.member;
    if (is !== 'active' && is !== 'ended') return null;
    return { kind: is === 'active' ? 'member' : 'memberEnded', which: product };
  }
  if ('received' in leaf || 'split' in leaf) return null;
  const [kind, event] =
    'signedUp' in leaf
      ? (['signedUp', leaf.signedUp] as const)
      : 'confirmed' in leaf
        ? (['confirmed', leaf.confirmed] as const)
        : 'opened' in leaf
          ? (['opened', leaf.opened] as const)
          : (['clicked', leaf.clicked] as const);
  const days = daysOf(event);
  return days && { kind, ...days };
}

/** Null for a window, or a mail, that a line has no place for. */
function daysOf(event: TimeWindow & { product?: string | undefined }): { days: string } | null {
  const others = Object.entries(event).filter(
    ([name, value]) => value !== undefined && name !== 'withinDays' && name !== 'product',
  );
  return others.length > 0 ? null : { days: event.withinDays === undefined ? '' : String(event.withinDays) };
}

function fieldRow(condition: FieldCondition): Partial<ConditionRow> | null {
  const { field, op } = condition;
  if (op === 'oneOf') return null;
  const value = op === 'isSet' ? '' : String(condition.value);
  return { kind: 'field', which: field, op, value };
}

/** The fields of a POST; what is none of the form's is left out. */
export function segmentTypedFrom(body: unknown): SegmentTyped {
  const given = new Map<string, string>(
    (typeof body === 'object' && body !== null ? Object.entries(body) : []).flatMap(([name, value]) =>
      typeof value === 'string' ? [[name, value.trim()] as const] : [],
    ),
  );
  const get = (name: string): string => (given.get(name) ?? '').slice(0, MAX_TYPED_CHARS);
  const rows: ConditionRow[] = [];
  for (let index = 0; index < MAX_ROWS && given.has(`row.${index}.kind`); index += 1) {
    const at = (name: string): string => get(`row.${index}.${name}`);
    const kind = ROW_KINDS.find((one) => one === at('kind'));
    rows.push({
      ...{ not: at('not') === 'yes', kind: kind ?? '', which: at('which'), op: at('op') },
      ...{ value: at('value'), days: at('days') },
    });
  }
  return {
    title: get('title').slice(0, 200),
    match: given.get('match') === 'any' ? 'any' : 'all',
    rows,
    text: given.has('text') ? (given.get('text') ?? '').slice(0, MAX_TEXT_CHARS) : null,
  };
}

/** With one more line, as long as the form takes one. */
export function withAnotherRow(typed: SegmentTyped): SegmentTyped {
  return mayAddRow(typed) ? { ...typed, rows: [...typed.rows, EMPTY_ROW] } : typed;
}

export function mayAddRow({ rows }: SegmentTyped): boolean {
  return rows.length < MAX_ROWS;
}

/** `conditions.all.1.not.field` is about the second condition that was given: on which line of the form it stands. */
export function placeOf(field: string, { rows }: SegmentTyped): string {
  const place = /^(?:conditions\.)?(?:all|any)\.(\d+)/.exec(field)?.[1];
  if (place === undefined) return '';
  // Lines that were left out are no conditions, but are counted by who looks at the form.
  const lines = rows.flatMap(({ kind }, index) => (kind === '' ? [] : [index + 1]));
  return `Condition ${lines[Number(place)] ?? Number(place) + 1}: `;
}

/** The conditions that were typed, still to be checked; null when nothing was. Throws `SyntaxError` for text that is no JSON. */
export function conditionsTyped(
  { match, rows, text }: SegmentTyped,
  definitions: ReadonlyMap<string, FieldDefinition>,
): unknown {
  if (text !== null) return JSON.parse(text) as unknown;
  const parts = rows.filter(({ kind }) => kind !== '').map((row) => conditionOf(row, definitions));
  return parts.length === 0 ? null : { [match]: parts };
}

function conditionOf(row: ConditionRow, definitions: ReadonlyMap<string, FieldDefinition>): object {
  const leaf = leafOf(row, definitions);
  return row.not ? { not: leaf } : leaf;
}

function leafOf(row: ConditionRow, definitions: ReadonlyMap<string, FieldDefinition>): object {
  const { kind, which, days } = row;
  const window = days === '' ? {} : { withinDays: Number(days) };
  switch (kind) {
    case 'status':
      return { status: [which] };
    case 'tag':
    case 'list':
    case 'funnel':
    case 'form':
      return { [kind]: which };
    case 'affiliate':
      return { affiliate: which === '' ? 'any' : which };
    case 'signedUp':
    case 'confirmed':
    case 'opened':
    case 'clicked':
      return { [kind]: window };
    case 'purchased':
      return { purchased: { ...(which === '' ? {} : { product: which }), ...window } };
    case 'member':
    case 'memberEnded':
      return {
        member: {
          ...(which === '' ? {} : { product: which }),
          is: kind === 'member' ? 'active' : 'ended',
        },
      };
    case 'sequence':
      return { sequence: { key: which, is: 'ever' } };
    case 'sequenceNow':
      return { sequence: { key: which, is: 'active' } };
    case 'field':
      return fieldOf(row, definitions.get(which));
    case '':
      return {};
  }
}

const NUMBERS = new Set(['atLeast', 'atMost', 'above', 'below', 'withinDays', 'inNextDays']);

/** What was typed as the field has it; what does not fit is passed on, for the check to name. */
function fieldOf({ which, op, value }: ConditionRow, definition: FieldDefinition | undefined): object {
  if (op === 'isSet') return { field: which, op };
  if (NUMBERS.has(op)) return { field: which, op, value: value === '' ? Number.NaN : Number(value) };
  if (definition && (op === 'is' || op === 'isNot')) {
    const read = readFieldText(definition, value);
    if (read.ok) return { field: which, op, value: read.value };
  }
  return { field: which, op, value };
}

/** A key for a segment of this title: `Readers of Vienna` gives `readers-of-vienna`. */
export function keyOf(title: string): string {
  const key = title
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 60)
    .replace(/^-+|-+$/g, '');
  return key === '' ? 'segment' : key;
}
