import { isMap, isNode, LineCounter, parseDocument, stringify, type Document } from 'yaml';
import type { ZodError } from 'zod';
import { funnelSchema, type FunnelDefinition } from './funnel.schemas.js';

/** One thing that is wrong, where it stands, and what would be right. `line` counts from 1. */
export interface FunnelProblem {
  line: number | null;
  /** Dotted path such as `sequence.steps.2.email`; empty for the whole file. */
  field: string;
  message: string;
}

export type FunnelFile =
  | { ok: true; definition: FunnelDefinition; lineOf(path: readonly PropertyKey[]): number | null }
  | { ok: false; problems: FunnelProblem[] };

const MAX_FILE_CHARACTERS = 500_000;
/** An alias may stand for a tree of aliases; a hundred of them are more than any honest file has. */
const MAX_ALIASES = 100;

/** Reads one funnel from YAML (or JSON, which is YAML). Collects every problem instead of stopping at the first. */
export function readFunnelFile(text: string): FunnelFile {
  if (text.length > MAX_FILE_CHARACTERS) {
    return {
      ok: false,
      problems: [
        { line: null, field: '', message: `a funnel file has at most ${MAX_FILE_CHARACTERS} characters` },
      ],
    };
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0) {
    return {
      ok: false,
      problems: document.errors.map((error) => ({
        line: error.linePos?.[0].line ?? null,
        field: '',
        message: error.message.split('\n')[0] ?? 'not readable as YAML',
      })),
    };
  }
  if (!isMap(document.contents)) {
    const message = 'a funnel file holds options by name, beginning with one such as "funnel: my-funnel"';
    return { ok: false, problems: [{ line: 1, field: '', message }] };
  }
  const lineOf = (path: readonly PropertyKey[]): number | null => lineOfPath(document, lines, path);
  const value = valueOf(document);
  if (value === null) {
    const message = `an alias (*name) stands for too much here: ${MAX_ALIASES} in all are the most`;
    return { ok: false, problems: [{ line: 1, field: '', message }] };
  }
  const parsed = funnelSchema.safeParse(value);
  if (!parsed.success) return { ok: false, problems: problemsOf(parsed.error, value, lineOf) };
  return { ok: true, definition: parsed.data, lineOf };
}

/** The file that describes the definition. Keys stand in the order of the schema, so equal funnels give equal bytes. */
export function writeFunnelFile(definition: FunnelDefinition): string {
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

function problemsOf(
  error: ZodError,
  value: unknown,
  lineOf: (path: readonly PropertyKey[]) => number | null,
): FunnelProblem[] {
  return error.issues
    .flatMap((issue) => flatten(issue, value))
    .map(({ path, message }) => ({
      line: lineOf(path),
      field: path.map(String).join('.'),
      message,
    }));
}

/** A union's issue says only "invalid input": take the alternative that the writer evidently meant. */
function flatten(issue: Issue, root: unknown): { path: readonly PropertyKey[]; message: string }[] {
  if (issue.code === 'invalid_union') {
    const meant = valueAt(root, issue.path);
    const isBranch = typeof meant === 'object' && meant !== null && 'if' in meant;
    const inner = issue.errors[isBranch ? 1 : 0] ?? [];
    return inner.flatMap((part) => flatten({ ...part, path: [...issue.path, ...part.path] }, root));
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => ({
      path: [...issue.path, name],
      message: `"${name}" is not an option here`,
    }));
  }
  const missing = valueAt(root, issue.path) === undefined;
  return [{ path: issue.path, message: missing ? `is missing (${issue.message})` : issue.message }];
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
