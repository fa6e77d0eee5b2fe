import {
  leafKey,
  testName,
  type Condition,
  type AskedValue,
  type Leaf,
} from '../../sequences/steps/condition.js';

/** A question and the answer it needs. */
export interface Literal {
  leaf: Leaf;
  holds: boolean;
}

/** All of these together. */
export type Term = readonly Literal[];

/** Beyond this a condition is too large to say anything certain about; no honest one comes near. */
const MAX_TERMS = 512;

/** The ways in which a condition can hold: one of the terms must. Null when they are too many to look at. */
export function termsOf(condition: Condition, wanted = true): Term[] | null {
  if (condition.kind === 'not') return termsOf(condition.of, !wanted);
  if (condition.kind !== 'all' && condition.kind !== 'any') return [[{ leaf: condition, holds: wanted }]];
  const parts = condition.of.map((part) => termsOf(part, wanted));
  // De Morgan: not all is any not, and the other way round.
  const isAll = (condition.kind === 'all') === wanted;
  return isAll ? allOf(parts) : anyOf(parts);
}

/** Each of the conditions, as terms, at once. */
export function allOf(parts: readonly (Term[] | null)[]): Term[] | null {
  let terms: Term[] = [[]];
  for (const part of parts) {
    if (part === null || terms.length * part.length > MAX_TERMS) return null;
    terms = terms.flatMap((one) => part.map((other) => [...one, ...other]));
  }
  return terms;
}

function anyOf(parts: readonly (Term[] | null)[]): Term[] | null {
  const terms: Term[] = [];
  for (const part of parts) {
    if (part === null || terms.length + part.length > MAX_TERMS) return null;
    terms.push(...part);
  }
  return terms;
}

/** Why the literals cannot hold together, in words; null when they can. */
export function contradictionIn(term: Term): string | null {
  const wanted = new Map<string, boolean>();
  for (const { leaf, holds } of term) {
    const key = leafKey(leaf);
    if (wanted.get(key) === !holds) return 'it asks for something and for its opposite';
    wanted.set(key, holds);
  }
  return (
    stepContradiction(term) ??
    armContradiction(term) ??
    memberContradiction(term) ??
    affiliateContradiction(term) ??
    readContradiction(term) ??
    fieldContradiction(term)
  );
}

/** A step has one outcome. */
function stepContradiction(term: Term): string | null {
  const outcomes = new Map<string, string>();
  for (const { leaf, holds } of term) {
    if (leaf.kind !== 'step' || !holds) continue;
    const before = outcomes.get(leaf.step);
    // `ran` is any outcome but being skipped.
    const differ = before !== undefined && before !== leaf.was && before !== 'ran' && leaf.was !== 'ran';
    const isSkipped = [before, leaf.was].includes('skipped') && [before, leaf.was].includes('ran');
    if (differ || isSkipped)
      return `the step "${leaf.step}" cannot have been "${before ?? ''}" and "${leaf.was}"`;
    outcomes.set(leaf.step, leaf.was);
  }
  return null;
}

/** Whoever clicked has opened. */
function readContradiction(term: Term): string | null {
  const asked = (kind: string, holds: boolean): Set<string> =>
    new Set(
      term.flatMap((one) =>
        one.leaf.kind === kind && 'step' in one.leaf && one.holds === holds ? [one.leaf.step] : [],
      ),
    );
  const unopened = asked('opened', false);
  const step = [...asked('clicked', true)].find((one) => unopened.has(one));
  return step === undefined ? null : `whoever clicked in the mail "${step}" has opened it`;
}

/** A person has one arm of a test. */
function armContradiction(term: Term): string | null {
  const arms = new Map<string, string>();
  for (const { leaf, holds } of term) {
    if (leaf.kind !== 'split' || !holds) continue;
    const test = testName(leaf);
    const before = arms.get(test);
    if (before !== undefined && before !== leaf.arm)
      return `nobody has both the arms "${before}" and "${leaf.arm}" of "${test}"`;
    arms.set(test, leaf.arm);
  }
  return null;
}

/** A membership has one state. */
function memberContradiction(term: Term): string | null {
  const states = new Map<string, string>();
  for (const { leaf, holds } of term) {
    if (leaf.kind !== 'member' || !holds) continue;
    const before = states.get(leaf.product);
    if (before !== undefined && before !== leaf.state)
      return `the membership of "${leaf.product}" cannot be "${before}" and "${leaf.state}"`;
    states.set(leaf.product, leaf.state);
  }
  return null;
}

/** A person came by one link last, or by none. */
function affiliateContradiction(term: Term): string | null {
  const asked = term.flatMap(({ leaf, holds }) =>
    leaf.kind === 'affiliate' && leaf.whose !== 'self' ? [{ whose: leaf.whose, holds }] : [],
  );
  const codes = new Set(
    asked
      .filter(({ whose, holds }) => holds && whose !== 'any' && whose !== 'none')
      .map(({ whose }) => whose),
  );
  const isSent =
    codes.size > 0 ||
    asked.some(({ whose, holds }) => holds === (whose === 'any') && (whose === 'any' || whose === 'none'));
  const isUnsent = asked.some(
    ({ whose, holds }) => holds === (whose === 'none') && (whose === 'any' || whose === 'none'),
  );
  if (codes.size > 1) return `nobody came last by the links of ${[...codes].join(' and ')}`;
  return isSent && isUnsent ? 'nobody came by a link and by none' : null;
}

interface Bounds {
  present: boolean | null;
  equal: string | null;
  unequal: Set<string>;
  /** Exclusive. */
  over: number;
  under: number;
  /** Inclusive. */
  atMost: number;
  atLeast: number;
}

function fieldContradiction(term: Term): string | null {
  const fields = new Map<string, Bounds>();
  for (const { leaf, holds } of term) {
    if (leaf.kind !== 'field') continue;
    const bounds = fields.get(leaf.field) ?? unbounded();
    fields.set(leaf.field, bounds);
    if (!narrow(bounds, leaf.op, leaf.value, holds) || !isPossible(bounds))
      return `no value of the field "${leaf.field}" fits all of it`;
  }
  return null;
}

function unbounded(): Bounds {
  const infinite = { over: -Infinity, under: Infinity, atMost: Infinity, atLeast: -Infinity };
  return { present: null, equal: null, unequal: new Set(), ...infinite };
}

/** False when the new demand contradicts one before. An empty field is equal to nothing, over and under nothing. */
function narrow(bounds: Bounds, op: string, value: AskedValue, holds: boolean): boolean {
  const mustBe = (present: boolean): boolean => {
    if (bounds.present === !present) return false;
    bounds.present = present;
    return true;
  };
  if (op === 'exists') return mustBe(value === holds);
  if (op === 'is' || op === 'isNot') {
    const text = String(value);
    if ((op === 'is') !== holds) {
      bounds.unequal.add(text);
      return true;
    }
    if (bounds.equal !== null && bounds.equal !== text) return false;
    bounds.equal = text;
    return mustBe(true);
  }
  if (!['over', 'under', 'atLeast', 'atMost'].includes(op)) return !holds || mustBe(true);
  const number = Number(value);
  if (!holds) {
    if (op === 'atLeast' || op === 'atMost') return true;
    if (op === 'over') bounds.atMost = Math.min(bounds.atMost, number);
    else bounds.atLeast = Math.max(bounds.atLeast, number);
    return true;
  }
  if (op === 'atLeast') bounds.atLeast = Math.max(bounds.atLeast, number);
  else if (op === 'atMost') bounds.atMost = Math.min(bounds.atMost, number);
  else if (op === 'over') bounds.over = Math.max(bounds.over, number);
  else bounds.under = Math.min(bounds.under, number);
  return mustBe(true);
}

function isPossible({ present, equal, unequal, over, under, atMost, atLeast }: Bounds): boolean {
  if (present !== true) return true;
  if (equal !== null) {
    const number = Number(equal);
    const fits = (bound: number, holds: boolean): boolean => !Number.isFinite(bound) || holds;
    return (
      !unequal.has(equal) &&
      fits(over, number > over) &&
      fits(under, number < under) &&
      fits(atMost, !(number > atMost)) &&
      fits(atLeast, !(number < atLeast))
    );
  }
  // A value that is no number is neither over nor under anything, so the inclusive bounds count beside the others only.
  if (over >= under) return false;
  return !(over > -Infinity && over >= atMost) && !(under < Infinity && under <= atLeast);
}
