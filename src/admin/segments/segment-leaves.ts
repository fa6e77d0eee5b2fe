import type { Leaf } from '../../segments/condition.js';
import { SUBSCRIBER_STATUSES } from '../../subscribers/subscription-status.js';

type KeysOf<T> = T extends unknown ? keyof T : never;
/** By what a condition says what it asks; `field` stands for the condition of an own field or a column. */
export type LeafKind = Exclude<KeysOf<Leaf>, 'op' | 'value'>;

/** Lists of names to choose from, which the page knows. */
export type NameList =
  | 'tags'
  | 'lists'
  | 'sequences'
  | 'funnels'
  | 'forms'
  | 'products'
  | 'affiliates'
  | 'broadcasts'
  | 'steps'
  | 'arms'
  | 'events'
  | 'fields';

export interface Choice {
  value: string;
  label: string;
}

interface Common {
  /** The property of the condition; `where` is none, and says which of the others count. */
  name: string;
  label: string;
  /** What to do when it is refused. */
  advice: string;
  /** It counts, and is seen, only while `where` has this value. */
  of?: string;
  /** Left empty, it is not asked. */
  isOptional?: true;
}

/** What is typed or chosen beside what is asked. */
export type LeafInput = Common &
  (
    | { kind: 'choice'; options: readonly Choice[] }
    /** Something that is there: chosen from the list. `empty` names the choice of none. */
    | { kind: 'known'; names: NameList; empty?: string }
    /** A name that may be new: typed, with the list to help. */
    | { kind: 'name'; names: NameList; placeholder: string }
    | { kind: 'many'; options: readonly Choice[] }
    | { kind: 'days' | 'times' | 'moment' }
    /** How a field is compared and with what: as the type of the field has it. */
    | { kind: 'operator' | 'value' }
  );

interface LeafDescription {
  label: string;
  group: 'They are' | 'They did' | 'They came through';
  inputs: readonly LeafInput[];
  /** Whether the condition is one value, a list of values, an object of its own, or lies open beside its name. */
  shape: 'value' | 'values' | 'object' | 'open';
}

const choices = (words: Readonly<Record<string, string>>): Choice[] =>
  Object.entries(words).map(([value, label]) => ({ value, label }));

const known = (name: string, label: string, names: NameList, more: Partial<LeafInput> = {}): LeafInput => ({
  ...{ name, label, names, kind: 'known', advice: `choose one that is there` },
  ...(more as object),
});

const WINDOW: readonly LeafInput[] = [
  {
    ...{ name: 'when', label: 'when', kind: 'choice', advice: 'choose when' },
    options: choices({ any: 'at any time', last: 'in the last … days', between: 'between two days' }),
  },
  {
    ...{ name: 'withinDays', label: 'days', kind: 'days', of: 'last' },
    advice: 'use a whole number of days from 1 to 3650',
  },
  {
    ...{ name: 'since', label: 'from', kind: 'moment', of: 'between', isOptional: true },
    advice: 'use a day such as 2026-01-31, or leave it empty',
  },
  {
    ...{ name: 'until', label: 'and before', kind: 'moment', of: 'between', isOptional: true },
    advice: 'use a day such as 2026-01-31, or leave it empty',
  },
];

const BROADCAST = known('broadcast', 'which broadcast', 'broadcasts', { of: 'broadcast' });
const FUNNEL = known('funnel', 'which funnel', 'funnels', { of: 'funnel' });
const STEP: LeafInput = {
  ...{ name: 'step', label: 'which step', kind: 'name', names: 'steps', of: 'funnel' },
  ...{ advice: 'use the key of the step that tests', placeholder: 'its key' },
};
const ANY_STEP: LeafInput = {
  ...{ ...STEP, placeholder: 'any step', isOptional: true },
  advice: 'use the key of one of its steps, or leave it empty',
};
const ANY_MAIL = { any: 'any mail' };
const MAILS = { broadcast: 'a mail of the broadcast', funnel: 'a mail of the funnel' };
const mail = (words: Readonly<Record<string, string>>): readonly LeafInput[] => [
  {
    ...{ name: 'mail', label: 'which mail', kind: 'choice', options: choices(words) },
    advice: 'choose which mail',
  },
  BROADCAST,
  FUNNEL,
  ANY_STEP,
];

const only = (input: LeafInput): Pick<LeafDescription, 'inputs' | 'shape'> => ({
  ...{ inputs: [input], shape: 'value' },
});
const object = (...inputs: LeafInput[]): Pick<LeafDescription, 'inputs' | 'shape'> => ({
  ...{ inputs, shape: 'object' },
});

/**
 * Every condition that segments know, as the form asks for it and as refusals name it. A condition that is missing here
 * is an error of the type checker.
 */
export const LEAVES: Readonly<Record<LeafKind, LeafDescription>> = {
  status: {
    ...{ label: 'have the status', group: 'They are', shape: 'values' },
    inputs: [
      {
        ...{ name: 'status', label: 'status', kind: 'many', advice: 'choose at least one' },
        options: SUBSCRIBER_STATUSES.map((status) => ({ value: status, label: status })),
      },
    ],
  },
  tag: {
    ...{ label: 'have the tag', group: 'They are' },
    ...only({
      ...{ name: 'tag', label: 'tag', kind: 'name', names: 'tags', placeholder: 'name of the tag' },
      advice: 'name a tag of at most 100 characters',
    }),
  },
  list: { label: 'are on the list', group: 'They are', ...only(known('list', 'list', 'lists')) },
  field: {
    ...{ label: 'have in the field', group: 'They are', shape: 'open' },
    inputs: [
      known('field', 'field', 'fields'),
      { name: 'op', label: 'how', kind: 'operator', advice: 'choose how it is compared' },
      { name: 'value', label: 'value', kind: 'value', advice: 'say with what it is compared' },
    ],
  },
  member: {
    ...{ label: 'are members', group: 'They are' },
    ...object(
      {
        ...{ name: 'is', label: 'how', kind: 'choice', advice: 'choose how' },
        options: choices({
          ...{ active: 'now', ended: 'no longer: it ended' },
          ...{ refunded: 'no longer: it was refunded', ever: 'now or once' },
        }),
      },
      known('product', 'by which product', 'products', { empty: 'any product', isOptional: true }),
    ),
  },
  signedUp: { label: 'signed up', group: 'They did', ...object(...WINDOW) },
  confirmed: { label: 'confirmed', group: 'They did', ...object(...WINDOW) },
  received: { label: 'received', group: 'They did', ...object(...mail(MAILS), ...WINDOW) },
  opened: { label: 'opened', group: 'They did', ...object(...mail({ ...ANY_MAIL, ...MAILS }), ...WINDOW) },
  clicked: {
    ...{ label: 'clicked in', group: 'They did' },
    ...object(...mail({ ...ANY_MAIL, ...MAILS }), ...WINDOW),
  },
  purchased: {
    ...{ label: 'bought', group: 'They did' },
    ...object(known('product', 'what', 'products', { empty: 'anything', isOptional: true }), ...WINDOW),
  },
  event: {
    ...{ label: 'did, as your programs told', group: 'They did' },
    ...object(
      {
        ...{ name: 'name', label: 'event', kind: 'name', names: 'events', placeholder: 'name of the event' },
        advice: 'use lower-case letters, digits and single hyphens, dots or underscores',
      },
      {
        ...{ name: 'atLeast', label: 'times at least', kind: 'times', isOptional: true },
        advice: 'use a whole number from 1 to 1000, or leave it empty for once',
      },
      ...WINDOW,
    ),
  },
  form: {
    ...{ label: 'signed up by the form', group: 'They came through' },
    ...only(known('form', 'form', 'forms')),
  },
  funnel: {
    ...{ label: 'are or were in the funnel', group: 'They came through' },
    ...only(known('funnel', 'funnel', 'funnels')),
  },
  sequence: {
    ...{ label: 'by the sequence', group: 'They came through' },
    ...object(
      {
        ...{ name: 'is', label: 'how', kind: 'choice', advice: 'choose how' },
        options: choices({
          ...{ ever: 'were ever in', active: 'are now in', completed: 'came through to the end of' },
          exited: 'left before the end of',
        }),
      },
      known('key', 'sequence', 'sequences'),
    ),
  },
  split: {
    ...{ label: 'were drawn by a split test', group: 'They came through' },
    ...object(
      {
        ...{ name: 'mail', label: 'which test', kind: 'choice', advice: 'choose which test' },
        options: choices({ broadcast: 'of the broadcast', funnel: 'of a step of the funnel' }),
      },
      BROADCAST,
      FUNNEL,
      STEP,
      {
        ...{ name: 'arm', label: 'arm', kind: 'name', names: 'arms', placeholder: 'a, b or holdout' },
        advice: 'use an arm of the test: a, b and so on of a broadcast, its key of a step, or holdout',
      },
    ),
  },
  affiliate: {
    ...{ label: 'came last by the affiliate', group: 'They came through' },
    ...only(known('affiliate', 'affiliate', 'affiliates')),
  },
};

/** What is none of the condition's properties: it only says which of the others count. */
export const SELECTORS: ReadonlySet<string> = new Set(['when', 'mail']);

export function isLeafKind(kind: string): kind is LeafKind {
  return Object.hasOwn(LEAVES, kind);
}

/** The inputs of a condition that count, by what was chosen so far. */
export function inputsOf(kind: LeafKind, values: Readonly<Record<string, string>>): readonly LeafInput[] {
  const { inputs } = LEAVES[kind];
  const chosen = inputs
    .filter(({ name }) => SELECTORS.has(name))
    .map((input) => values[input.name] || (input.kind === 'choice' ? input.options[0]?.value : ''));
  return inputs.filter(({ of }) => of === undefined || chosen.includes(of));
}

const GROUPS = ['They are', 'They did', 'They came through'] as const;

/** What may be asked, in groups, for the form. */
export const KIND_GROUPS: readonly { label: string; kinds: readonly Choice[] }[] = GROUPS.map((label) => ({
  label,
  kinds: Object.entries(LEAVES)
    .filter(([, { group }]) => group === label)
    .map(([value, leaf]) => ({ value, label: leaf.label })),
}));
