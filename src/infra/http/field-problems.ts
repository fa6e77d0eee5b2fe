import { z } from 'zod';

/** One refused field. `field` is a dotted path (`sender.email`, `steps.2.delay`). */
export interface FieldProblem {
  field: string;
  message: string;
  /** The values or the shape that would have been accepted, where the schema can say. */
  allowed?: string | string[];
}

/** An issue of any Standard Schema library; those of Zod say more and are asked for it. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** More than this helps nobody, and the number is the caller's choice. */
const MAX_PROBLEMS = 50;

type Path = readonly PropertyKey[];

/**
 * Names each field that a schema refused and what it accepts. `root` is the name used where the value as a whole is
 * wrong (`body`, `query` or a parameter's name); `schema` is asked which fields exist when an unknown one was sent.
 */
export function fieldProblems(
  issues: readonly SchemaIssue[],
  root: string,
  schema?: unknown,
): FieldProblem[] {
  return issues
    .flatMap((issue) =>
      isZodIssue(issue) ? zodProblems(issue, [], { root, schema }) : [plainProblem(issue, root)],
    )
    .slice(0, MAX_PROBLEMS);
}

/** The first message for each field, as the forms of the public pages show them beside the field. */
export function messagesByField(problems: readonly FieldProblem[]): Record<string, string> {
  const messages: Record<string, string> = {};
  for (const { field, message } of problems) messages[field] ??= message;
  return messages;
}

interface Origin {
  root: string;
  schema: unknown;
}

function zodProblems(issue: z.core.$ZodIssue, above: Path, origin: Origin): FieldProblem[] {
  const path = [...above, ...issue.path];
  const field = fieldName(path, origin.root);
  if (issue.code === 'unrecognized_keys') {
    const allowed = knownKeys(origin.schema, path);
    return issue.keys.map((key) => ({
      field: fieldName([...path, key], origin.root),
      message: 'Unknown field',
      ...(allowed ? { allowed } : {}),
    }));
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const closest = issue.errors.toSorted((a, b) => farOff(a) - farOff(b))[0] ?? [];
    return closest.flatMap((inner) => zodProblems(inner, path, origin));
  }
  const allowed = allowedBy(issue);
  return [{ field, message: issue.message, ...(allowed === undefined ? {} : { allowed }) }];
}

/**
 * How far what was sent is from one branch of a union: the fewest wrong places show which one was meant. Of two with one each,
 * one that has the shape and breaks a rule is nearer, and one that misses the very field which tells its kinds apart farther.
 */
function farOff(issues: readonly z.core.$ZodIssue[]): number {
  const places = new Map<string, number>();
  for (const { code, path, ...issue } of issues) {
    const missesKind = code === 'invalid_union' && 'discriminator' in issue;
    const weight = code === 'custom' ? 0.5 : missesKind ? 1.5 : 1;
    const place = path.map(String).join('.');
    places.set(place, Math.max(weight, places.get(place) ?? 0));
  }
  return [...places.values()].reduce((sum, weight) => sum + weight, 0);
}

function allowedBy(issue: z.core.$ZodIssue): string | string[] | undefined {
  switch (issue.code) {
    case 'invalid_value':
      return issue.values.map(String);
    case 'invalid_type':
      return issue.expected;
    case 'too_small':
      return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unitOf(issue.origin)}`;
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : undefined;
    case 'invalid_format':
      return issue.format === 'regex' ? undefined : issue.format.replaceAll('_', ' ');
    // These say all they know in their message.
    case 'custom':
    case 'invalid_element':
    case 'invalid_key':
    case 'unrecognized_keys':
      break;
  }
  return undefined;
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' || origin === 'set' ? ' entries' : '';
}

/** Keys of the object schema at `path`; optional, nullable and defaulted layers are looked through. */
function knownKeys(schema: unknown, path: Path): string[] | undefined {
  let current: unknown = unwrap(schema);
  for (const segment of path) {
    if (current instanceof z.ZodObject) current = unwrap(current.shape[String(segment)]);
    else if (current instanceof z.ZodArray) current = unwrap(current.element);
    else return undefined;
  }
  return current instanceof z.ZodObject ? Object.keys(current.shape) : undefined;
}

function unwrap(schema: unknown): unknown {
  let current = schema;
  while (
    current instanceof z.ZodOptional ||
    current instanceof z.ZodNullable ||
    current instanceof z.ZodDefault ||
    current instanceof z.ZodPrefault
  ) {
    current = current.unwrap();
  }
  return current instanceof z.ZodPipe ? unwrap(current.in) : current;
}

function plainProblem(issue: SchemaIssue, root: string): FieldProblem {
  const path = (issue.path ?? []).map((segment) => (typeof segment === 'object' ? segment.key : segment));
  return { field: fieldName(path, root), message: issue.message };
}

function fieldName(path: Path, root: string): string {
  return path.length === 0 ? root : path.map(String).join('.');
}

function isZodIssue(issue: SchemaIssue): issue is z.core.$ZodIssue {
  return 'code' in issue && Array.isArray(issue.path);
}
