import type { Condition, Leaf } from './condition.js';

/** A tree of conditions in which `not` stands before leaves only, and no `all` directly in an `all`, no `any` in an `any`. */
export type NormalForm = { all: NormalForm[] } | { any: NormalForm[] } | FormLeaf;

export interface FormLeaf {
  leaf: Leaf;
  /** False: who does not meet it. */
  is: boolean;
}

/** The same people, by De Morgan's laws: what may be asked together stands together, however it was typed. */
export function formOf(condition: Condition, is = true): NormalForm {
  if ('not' in condition) return formOf(condition.not, !is);
  const inner = 'all' in condition ? condition.all : 'any' in condition ? condition.any : null;
  if (inner === null) return { leaf: condition as Leaf, is };
  const parts = inner.map((one) => formOf(one, is));
  return 'all' in condition === is ? allOf(parts) : anyOf(parts);
}

export function allOf(parts: readonly NormalForm[]): NormalForm {
  const flat = parts.flatMap((part) => ('all' in part ? part.all : [part]));
  return (flat.length === 1 && flat[0]) || { all: flat };
}

export function anyOf(parts: readonly NormalForm[]): NormalForm {
  const flat = parts.flatMap((part) => ('any' in part ? part.any : [part]));
  return (flat.length === 1 && flat[0]) || { any: flat };
}

/** Everybody else. */
export function othersThan(form: NormalForm): NormalForm {
  if ('all' in form) return { any: form.all.map(othersThan) };
  if ('any' in form) return { all: form.any.map(othersThan) };
  return { ...form, is: !form.is };
}

/** Whether those meet it who meet no leaf. */
export function isMetByNone(form: NormalForm): boolean {
  if ('all' in form) return form.all.every(isMetByNone);
  if ('any' in form) return form.any.some(isMetByNone);
  return !form.is;
}

export function everyLeaf(form: NormalForm, has: (leaf: Leaf) => boolean): boolean {
  if ('all' in form) return form.all.every((one) => everyLeaf(one, has));
  if ('any' in form) return form.any.every((one) => everyLeaf(one, has));
  return has(form.leaf);
}
