import { isCollection, isScalar, visit, type Document } from 'yaml';
import type { DefinitionProblem } from '../lint/rules.js';
import { MAX_LEVELS } from './yaml-depth.js';

/** One half of a character that takes two: no text that can be stored holds it. */
const HALF_CHARACTER = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

/** What YAML can say and neither the database nor an export can: it is refused where it stands, not changed in silence. */
export function unkeepable(value: unknown): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  const add = (path: readonly PropertyKey[], message: string): unknown =>
    problems.push({ rule: 'wrong-value', path, message });
  /** False when there is no end to it. */
  const look = (one: unknown, path: readonly PropertyKey[], around: readonly object[]): boolean => {
    if (typeof one !== 'object' || one === null) {
      const message = scalarProblem(one);
      if (message !== null) add(path, message);
      return true;
    }
    if (around.includes(one)) return (add(path, 'stands for what it is itself a part of'), false);
    if (around.length === MAX_LEVELS)
      return (add(path, `is nested too deeply; ${MAX_LEVELS} levels are the most`), false);
    if (!Array.isArray(one) && Object.getPrototypeOf(one) !== Object.prototype) {
      add(path, 'has a tag such as !!timestamp; write it without one');
      return true;
    }
    const within = [...around, one];
    return Object.entries(one).every(([name, part]) => look(part, [...path, nameIn(one, name)], within));
  };
  look(value, [], []);
  return problems;
}

function nameIn(owner: object, name: string): PropertyKey {
  return Array.isArray(owner) ? Number(name) : name;
}

function scalarProblem(value: unknown): string | null {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    return 'has more digits than a number keeps; put it in quotes';
  if (typeof value === 'bigint') return 'has more digits than a number keeps; put it in quotes';
  if (typeof value !== 'string') return null;
  return unkeepableText(value);
}

/** Why the database has no such text; null when it has. */
export function unkeepableText(text: string): string | null {
  if (text.includes('\0')) return 'holds the character U+0000, which no text can; take it out';
  return HALF_CHARACTER.test(text) ? 'holds half of a character (U+D800 to U+DFFF); take it out' : null;
}

/** Names that a map has twice, each with where in the text. The library looks at each pair of names, which took minutes. */
export function doubleNames(document: Document): { name: string; at: number }[] {
  const double: { name: string; at: number }[] = [];
  visit(document, {
    Map: (_, { items }) => {
      const names = new Set<string>();
      for (const { key } of items) {
        if (!isScalar(key) || key.value === '<<') continue;
        const name = String(key.value);
        if (names.has(name)) double.push({ name, at: key.range?.[0] ?? 0 });
        names.add(name);
      }
    },
  });
  return double;
}

/** Where lists and maps stand as names. */
export function listNames(document: Document): number[] {
  const found: number[] = [];
  visit(document, {
    Pair: (_, { key }) => {
      if (isCollection(key)) found.push(key.range?.[0] ?? 0);
    },
  });
  return found;
}

/** Where the first alias of that name stands; null when there is none. */
export function aliasAt(document: Document, name: string): number | null {
  let at: number | null = null;
  visit(document, {
    Alias: (_, node) => {
      if (node.source !== name) return undefined;
      at = node.range?.[0] ?? null;
      return visit.BREAK;
    },
  });
  return at;
}
