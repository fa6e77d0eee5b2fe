import { isMap, isNode, LineCounter, parseDocument, stringify, type Document } from 'yaml';
import type { ZodError } from 'zod';
import { funnelSchema, type FunnelDefinition } from './funnel.schemas.js';
import { findingOf, type DefinitionProblem, type Finding, type RuleName } from './lint/rules.js';
import { KIND_OPTIONS } from './step.schemas.js';

export type FunnelFile =
  | { ok: true; definition: FunnelDefinition; lineOf(path: readonly PropertyKey[]): number | null }
  | { ok: false; problems: Finding[] };

const MAX_FILE_CHARACTERS = 500_000;
/** An alias may stand for a tree of aliases; a hundred of them are more than any honest file has. */
const MAX_ALIASES = 100;

/** Reads one funnel from YAML (or JSON, which is YAML). Collects every problem instead of stopping at the first. */
export function readFunnelFile(text: string): FunnelFile {
  if (text.length > MAX_FILE_CHARACTERS) {
    return unreadable(`a funnel file has at most ${MAX_FILE_CHARACTERS} characters`, null);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0) {
    return {
      ok: false,
      problems: document.errors.map((error) => ({
        ...unreadableAt(error.linePos?.[0].line ?? null),
        message: error.message.split('\n')[0] ?? 'not readable as YAML',
      })),
    };
  }
  if (!isMap(document.contents)) {
    const message = 'a funnel file holds options by name, beginning with one such as "funnel: my-funnel"';
    return unreadable(message, 1);
  }
  const lineOf = (path: readonly PropertyKey[]): number | null => lineOfPath(document, lines, path);
  const value = valueOf(document);
  if (value === null) {
    const message = `an alias (*name) stands for too much here: ${MAX_ALIASES} in all are the most`;
    return unreadable(message, 1);
  }
  const parsed = funnelSchema.safeParse(value);
  if (!parsed.success) return { ok: false, problems: problemsOf(parsed.error, value, lineOf) };
  return { ok: true, definition: parsed.data, lineOf };
}

/** The file that describes the definition. Keys stand in the order of the schema, so equal funnels give equal bytes. */
export function writeFunnelFile(definition: object): string {
  return stringify(definition, { lineWidth: 110 });
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

function unreadable(message: string, line: number | null): Extract<FunnelFile, { ok: false }> {
  return { ok: false, problems: [{ ...unreadableAt(line), message }] };
}

function unreadableAt(line: number | null): Omit<Finding, 'message'> {
  return { rule: 'unreadable-file', severity: 'error', line, field: '' };
}

function problemsOf(
  error: ZodError,
  value: unknown,
  lineOf: (path: readonly PropertyKey[]) => number | null,
): Finding[] {
  return error.issues
    .flatMap((issue) => flatten(issue, value))
    .map((problem) => findingOf({ ...problem, rule: ruleAt(problem) }, lineOf(problem.path)));
}

/** Two things whose absence costs more than a wrong file have rules of their own. */
function ruleAt({ rule, path }: DefinitionProblem): RuleName {
  const [part, name, field] = path;
  if (part === 'form' && name === 'consent') return 'missing-consent';
  return rule === 'missing-value' && part === 'products' && field === 'price' ? 'offer-without-price' : rule;
}

/** A union's issue says only "invalid input": take the alternative that the writer evidently meant. */
function flatten(issue: Issue, root: unknown): DefinitionProblem[] {
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
  if (valueAt(root, path) === undefined)
    return [{ rule: 'missing-value', path, message: `is missing (${issue.message})` }];
  return [{ rule: 'wrong-value', path, message: issue.message }];
}

/** An alternative is meant when the option that tells it from the others is there. */
function flattenUnion(issue: Extract<Issue, { code: 'invalid_union' }>, root: unknown): DefinitionProblem[] {
  const { path } = issue;
  const given = valueAt(root, path);
  if (given === undefined) return [{ rule: 'missing-value', path, message: 'is missing' }];
  const kindMissing = (alternative: readonly Issue[]): string[] =>
    alternative.flatMap(({ path: [name], path: { length } }) =>
      length === 1 && KIND_OPTIONS.has(String(name)) && valueAt(given, [String(name)]) === undefined
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
