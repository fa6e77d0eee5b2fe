import { isMap, isNode, LineCounter, parseDocument, type Document } from 'yaml';
import type { ZodError, ZodType } from 'zod';
import { DomainError } from '../values/domain-error.js';
import { findingOf, findingText, type DefinitionProblem, type Finding, type RuleName } from './lint/rules.js';

export type YamlFile<T> =
  | { ok: true; definition: T; lineOf(path: readonly PropertyKey[]): number | null }
  | { ok: false; problems: Finding[] };

export interface FileShape<T> {
  schema: ZodType<T>;
  /** As in "a funnel file". */
  name: string;
  /** An option it begins with. */
  example: string;
  /** Names by which the alternatives of a union are told from each other. */
  kinds: ReadonlySet<string>;
  /** The rule that is broken by something that is missing or wrong, where it is another than says itself. */
  ruleOf?: (problem: DefinitionProblem) => RuleName;
}

const MAX_FILE_CHARACTERS = 2_000_000;
/** An alias may stand for a tree of aliases; a hundred of them are more than any honest file has. */
const MAX_ALIASES = 100;

/** Reads options by name from YAML (or JSON, which is YAML). Collects every problem instead of stopping at the first. */
export function readYamlFile<T>(
  text: string,
  { schema, name, example, kinds, ruleOf = ({ rule }) => rule }: FileShape<T>,
): YamlFile<T> {
  if (text.length > MAX_FILE_CHARACTERS)
    return unreadable(`${name} has at most ${MAX_FILE_CHARACTERS} characters`, null);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0) {
    return {
      ok: false,
      problems: document.errors.map((error) => ({
        ...unreadableAt(error.linePos?.[0].line ?? null),
        message: errorText(error),
      })),
    };
  }
  if (!isMap(document.contents))
    return unreadable(`${name} holds options by name, beginning with one such as "${example}"`, 1);
  const lineOf = (path: readonly PropertyKey[]): number | null => lineOfPath(document, lines, path);
  const value = valueOf(document);
  if (value === null)
    return unreadable(`an alias (*name) stands for too much here: ${MAX_ALIASES} in all are the most`, 1);
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, definition: parsed.data, lineOf };
  return { ok: false, problems: problemsOf(parsed.error, { value, kinds, ruleOf }, lineOf) };
}

function errorText({ code, message }: { code: string; message: string }): string {
  if (code === 'MULTIPLE_DOCS') return 'here begins a second document, behind ---, and this place takes one';
  return message.split('\n')[0] ?? 'not readable as YAML';
}

/** Problems between the parts of a file, with the lines they stand at. */
export function located(
  file: { lineOf(path: readonly PropertyKey[]): number | null },
  problems: readonly DefinitionProblem[],
): Finding[] {
  return problems.map((problem) => findingOf(problem, file.lineOf(problem.path)));
}

/** The refusal of a file, `name:line: field: message` for each problem. */
export function fileInvalid(
  name: string,
  problems: readonly Finding[],
  code = 'FUNNEL_INVALID',
): DomainError {
  const lines = problems.map((problem) => findingText(name, problem));
  return new DomainError(code, lines.join('\n'), { file: name, problems });
}

/** What is being read, and how its alternatives are told apart. */
interface Given {
  value: unknown;
  kinds: ReadonlySet<string>;
  ruleOf: (problem: DefinitionProblem) => RuleName;
}

/** `null` where the aliases stand for more than is taken, which the library says by throwing. */
function valueOf(document: Document): object | null {
  try {
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    return typeof value === 'object' ? value : null;
  } catch (error) {
    if (error instanceof ReferenceError) return null;
    throw error;
  }
}

type Issue = ZodError['issues'][number];

function unreadable(message: string, line: number | null): { ok: false; problems: Finding[] } {
  return { ok: false, problems: [{ ...unreadableAt(line), message }] };
}

function unreadableAt(line: number | null): Omit<Finding, 'message'> {
  return { rule: 'unreadable-file', severity: 'error', line, field: '' };
}

function problemsOf(
  error: ZodError,
  given: Given,
  lineOf: (path: readonly PropertyKey[]) => number | null,
): Finding[] {
  return error.issues
    .flatMap((issue) => flatten(issue, given))
    .map((problem) => findingOf({ ...problem, rule: given.ruleOf(problem) }, lineOf(problem.path)));
}

/** A union's issue says only "invalid input": take the alternative that the writer evidently meant. */
function flatten(issue: Issue, root: Given): DefinitionProblem[] {
  if (issue.code === 'invalid_union') return flattenUnion(issue, root);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => ({
      rule: 'unknown-option',
      path: [...issue.path, name],
      message: `"${name}" is not an option here; ${issue.message}`,
    }));
  }
  const { path } = issue;
  if (issue.code === 'invalid_key')
    return issue.issues.map(({ message }) => ({ rule: 'wrong-value', path, message }));
  if (valueAt(root.value, path) === undefined)
    return [{ rule: 'missing-value', path, message: `is missing (${issue.message})` }];
  return [{ rule: 'wrong-value', path, message: issue.message }];
}

/** An alternative is meant when the option that tells it from the others is there. */
function flattenUnion(issue: Extract<Issue, { code: 'invalid_union' }>, root: Given): DefinitionProblem[] {
  const { path } = issue;
  const given = valueAt(root.value, path);
  if (given === undefined) return [{ rule: 'missing-value', path, message: 'is missing' }];
  const kindMissing = (alternative: readonly Issue[]): string[] =>
    alternative.flatMap(({ path: [name], path: { length } }) =>
      length === 1 && root.kinds.has(String(name)) && valueAt(given, [String(name)]) === undefined
        ? [String(name)]
        : [],
    );
  if (issue.message !== 'Invalid input') return [{ rule: 'wrong-value', path, message: issue.message }];
  const fitting = issue.errors.filter(hasRightType);
  const meant = fitting.find((alternative) => kindMissing(alternative).length === 0);
  if (meant) return meant.flatMap((part) => flatten({ ...part, path: [...path, ...part.path] }, root));
  const kinds = [...new Set(fitting.flatMap(kindMissing))];
  if (typeof given !== 'object' || given === null || kinds.length === 0)
    return [{ rule: 'wrong-value', path, message: unionText(issue) }];
  const unknown = Object.keys(given).find((name) => name !== 'key' && !kinds.includes(name));
  const oneOf = `name one of ${kinds.join(', ')}`;
  return unknown === undefined
    ? [{ rule: 'missing-value', path, message: oneOf }]
    : [
        {
          rule: 'unknown-option',
          path: [...path, unknown],
          message: `"${unknown}" is not an option here; ${oneOf}`,
        },
      ];
}

/** A text is no map, and the alternatives for maps say nothing about it. */
function hasRightType(alternative: readonly Issue[]): boolean {
  return !alternative.some(({ code, path }) => code === 'invalid_type' && path.length === 0);
}

function unionText(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  const texts = issue.errors.flatMap((alternative) => alternative.map(({ message }) => message));
  return [...new Set(texts)].join('; or ');
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined),
    root,
  );
}

/** The line of the nearest node that exists on the way to the path: a missing field is reported at its parent. */
function lineOfPath(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number | null {
  for (let length = path.length; length >= 0; length--) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return null;
}
