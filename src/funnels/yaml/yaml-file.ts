import { isMap, LineCounter, parseDocument, type Document, type YAMLError } from 'yaml';
import type { ZodError, ZodType } from 'zod';
import { DomainError } from '../../values/domain-error.js';
import {
  findingOf,
  findingText,
  type DefinitionProblem,
  type Finding,
  type RuleName,
} from '../lint/rules.js';
import { MAX_LEVELS, tooDeepAt } from './yaml-depth.js';
import { lineOfPath } from './yaml-lines.js';
import { aliasAt, doubleNames, listNames, unkeepable } from './yaml-values.js';
import { kindRefused, kindWanted } from './yaml-words.js';

export type YamlFile<T> =
  | { ok: true; definition: T; lineOf(path: readonly PropertyKey[]): number | null }
  | { ok: false; problems: Finding[] };

interface FileShape<T> {
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

export const MAX_FILE_CHARACTERS = 2_000_000;
/** An alias may stand for a tree of aliases; a hundred of them are more than any honest file has. */
const MAX_ALIASES = 100;
/** Of a text that is no YAML every line may be wrong. */
const MAX_PROBLEMS = 100;

/** Reads options by name from YAML (or JSON, which is YAML). Collects every problem instead of stopping at the first. */
export function readYamlFile<T>(
  text: string,
  { schema, name, example, kinds, ruleOf = ({ rule }) => rule }: FileShape<T>,
): YamlFile<T> {
  if (text.length > MAX_FILE_CHARACTERS)
    return unreadable(`${name} has at most ${MAX_FILE_CHARACTERS} characters`, null);
  const parsed = parsedText(text, name);
  if (!parsed.ok) return parsed;
  const { document, lines } = parsed;
  if (!isMap(document.contents))
    return unreadable(
      `${name} holds options by name, beginning with one such as "${example}"`,
      lineOfPath(document, lines, []) ?? 1,
    );
  const lineOf = (path: readonly PropertyKey[]): number | null => lineOfPath(document, lines, path);
  const value = valueOf(document, lines);
  if (!value.ok) return value;
  const odd = unkeepable(value.value).slice(0, MAX_PROBLEMS);
  if (odd.length > 0)
    return { ok: false, problems: odd.map((problem) => findingOf(problem, lineOf(problem.path))) };
  const checked = schema.safeParse(value.value);
  if (checked.success) return { ok: true, definition: checked.data, lineOf };
  return { ok: false, problems: problemsOf(checked.error, { value: value.value, kinds, ruleOf }, lineOf) };
}

type Unreadable = Extract<YamlFile<never>, { ok: false }>;

/** The text as YAML 1.2, or why it is none. */
function parsedText(
  text: string,
  name: string,
): { ok: true; document: Document; lines: LineCounter } | Unreadable {
  if (text.includes('\r') && !text.includes('\n'))
    return unreadable(`save ${name} with line ends that are LF or CRLF, not CR alone`, 1);
  const deepAt = tooDeepAt(text);
  if (deepAt !== null)
    return unreadable(`this is nested too deeply; ${MAX_LEVELS} levels are the most`, deepAt);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, merge: true });
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  if (document.directives?.yaml.version === '1.1') {
    const at = text.split('\n').findIndex((line) => line.startsWith('%YAML'));
    const message =
      'YAML 1.1 reads yes as true and 22:00 as a number; take the line %YAML out, and mean what is written';
    return unreadable(message, at < 0 ? 1 : at + 1);
  }
  const problems = [...document.errors, ...document.warnings].map((error) => ({
    ...unreadableAt(error.linePos?.[0].line ?? null),
    message: errorText(error),
  }));
  const double = doubleNames(document).map(({ name: twice, at }) => ({
    ...unreadableAt(lineAt(at)),
    field: twice,
    message: 'stands here a second time; each name is used once',
  }));
  const lists = listNames(document).map((at) => ({
    ...unreadableAt(lineAt(at)),
    message: 'a name is a text, no list and no map',
  }));
  const all = [...problems, ...double, ...lists].slice(0, MAX_PROBLEMS);
  return all.length > 0 ? { ok: false, problems: all } : { ok: true, document, lines };
}

/** The place is said before, and in the same words everywhere. */
function errorText({ code, message }: Pick<YAMLError, 'code' | 'message'>): string {
  if (code === 'MULTIPLE_DOCS') return 'here begins a second document, behind ---, and this place takes one';
  const [first = 'not readable as YAML'] = message.split('\n');
  return first.replace(/ at line \d+, column \d+:?$/, '');
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

/** The library says by throwing what is wrong with aliases and with what `<<` takes over. */
function valueOf(document: Document, lines: LineCounter): { ok: true; value: unknown } | Unreadable {
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: MAX_ALIASES }) };
  } catch (error) {
    const { message } = error as Error;
    const [, name] = /^Unresolved alias .*: (.*)$/.exec(message) ?? [];
    const at = name === undefined ? null : aliasAt(document, name);
    if (name !== undefined)
      return unreadable(`there is no &${name} before *${name}`, at === null ? 1 : lines.linePos(at).line);
    if (error instanceof ReferenceError)
      return unreadable(`an alias (*name) stands for too much here: ${MAX_ALIASES} in all are the most`, 1);
    return unreadable(errorText({ code: 'UNEXPECTED_TOKEN', message }), 1);
  }
}

type Issue = ZodError['issues'][number];

function unreadable(message: string, line: number | null): Unreadable {
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
    .slice(0, MAX_PROBLEMS)
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
  const given = valueAt(root.value, path);
  const wanted = kindWanted(issue);
  if (given === undefined)
    return [
      {
        rule: 'missing-value',
        path,
        message: `is missing; ${wanted === null ? issue.message : `it takes ${wanted}`}`,
      },
    ];
  return [
    { rule: 'wrong-value', path, message: wanted === null ? issue.message : kindRefused(wanted, given) },
  ];
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
    return [{ rule: 'wrong-value', path, message: unionText(issue, given) }];
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

function unionText(issue: Extract<Issue, { code: 'invalid_union' }>, given: unknown): string {
  const alternatives = issue.errors.flat();
  const kinds = alternatives.map(kindWanted).filter((kind) => kind !== null);
  const own = alternatives.flatMap((one) => (kindWanted(one) === null ? [one.message] : []));
  // What an alternative of the right kind says is about what is written; the other kinds are then none of its business.
  if (own.length > 0 && given !== null) return [...new Set(own)].join('; or ');
  return kindRefused([...new Set(kinds)].join(' or '), given);
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined),
    root,
  );
}
