import type { PlannedChange } from '../../funnels/changes/funnel-diff.js';
import type { Finding } from '../../funnels/lint/rules.js';
import { templatePath } from '../../funnels/schemas/schema-parts.js';
import { moveChoice, type MoveChoice } from '../../sequences/moves/people-moves.schemas.js';
import type { Texts } from '../../values/template-texts.js';

/** What becomes of who is in the sequence, as the owner chose it in the form. */
export interface TypedMove {
  mode: string;
  within: string;
  /** A line each: `step = step`. */
  map: string;
  /** Of the plan that was shown; empty before there was one. */
  token: string;
}

/** What the owner typed about a funnel. Nothing of it is cut: whatever is wrong, the form comes back as it was sent. */
export interface TypedFunnel extends TypedMove {
  yaml: string;
  /** Of mails and pages, by their path, those that were opened. */
  texts: Texts;
}

export const MOVE_MODES = [
  { value: 'stay', label: 'They stay in the version they joined' },
  { value: 'forward-only', label: 'They go on in the new one, behind the furthest step they have had' },
  { value: 'catch-up', label: 'They go on in the new one, and get first what was added behind them' },
  { value: 're-map', label: 'They go on in the new one, at the step that is named for theirs' },
] as const;

const TEXT_PREFIX = 'text:';
/** As by the REST API. */
const MAX_YAML_CHARACTERS = 800_000;

export function typedMove(body: unknown): TypedMove {
  return {
    ...{ mode: textOf(body, 'move') || 'stay', within: textOf(body, 'within').trim() },
    ...{ map: textOf(body, 'map'), token: textOf(body, 'token').trim() },
  };
}

export function typedFunnel(body: unknown): TypedFunnel {
  const fields = Object.entries(typeof body === 'object' && body !== null ? body : {});
  const texts = fields.flatMap(([name]) => {
    const path = name.slice(TEXT_PREFIX.length);
    const isPath = name.startsWith(TEXT_PREFIX) && templatePath.safeParse(path).success;
    return isPath ? [[path, textOf(body, name)] as const] : [];
  });
  return { ...typedMove(body), yaml: textOf(body, 'yaml'), texts: Object.fromEntries(texts) };
}

/** Browsers send lines with carriage returns, which the owner has not typed; the database takes no NUL. */
function textOf(body: unknown, name: string): string {
  const value: unknown = Object(body) === body ? Reflect.get(Object(body), name) : undefined;
  return typeof value === 'string' ? value.replaceAll('\r\n', '\n').replaceAll('\0', '').toWellFormed() : '';
}

/** A text that was opened and left as it is counts as it is kept, carriage returns included. */
export function withTyped(kept: Texts, typed: Texts): Texts {
  const changed = Object.entries(typed).filter(
    ([path, text]) => kept[path]?.replaceAll('\r\n', '\n') !== text,
  );
  return { ...kept, ...Object.fromEntries(changed) };
}

/** The choice for the people, or what is wrong with it by its field. */
export function moveTyped({
  mode,
  within,
  map,
}: TypedMove): { ok: true; move: MoveChoice | undefined } | { ok: false; errors: Record<string, string> } {
  if (mode === 'stay') return { ok: true, move: undefined };
  const pairs = map.split(/[\n,]/).filter((line) => line.trim() !== '');
  const steps = pairs.map((line) => line.split(/->|→|=/).map((part) => part.trim()));
  const odd = pairs.find((_, place) => {
    const [from = '', to = '', ...rest] = steps[place] ?? [];
    return from === '' || to === '' || rest.length > 0;
  });
  if (mode === 're-map' && odd !== undefined)
    return { ok: false, errors: { map: `Write it as "step = step": ${odd.trim()}` } };
  const read = moveChoice.safeParse({
    mode,
    ...(mode === 'catch-up' && within !== '' ? { within } : {}),
    ...(mode === 're-map' ? { steps: Object.fromEntries(steps) } : {}),
  });
  if (read.success) return { ok: true, move: read.data };
  const fields: Record<string, string> = { within: 'within', steps: 'map', mode: 'move' };
  const errors = read.error.issues.map(({ path: [name], message }) => {
    const field = fields[String(name)] ?? 'move';
    return [field, field === 'within' ? `How far back, such as "7 days": ${message}` : message] as const;
  });
  return { ok: false, errors: Object.fromEntries(errors) };
}

export function tooLong(yaml: string): Finding[] {
  if (yaml.length <= MAX_YAML_CHARACTERS) return [];
  const message = `it has ${yaml.length} characters, and ${MAX_YAML_CHARACTERS} are the most here; apply larger files by the command`;
  return [{ rule: 'unreadable-file', severity: 'error', line: null, field: '', message }];
}

/** Findings with the line of the text that each is about. */
export function findingsShown(findings: readonly Finding[], yaml: string): object[] {
  const lines = yaml.split('\n');
  return findings.map(({ line, field, message, severity }) => ({
    ...{ line, field, message, severity },
    code: line === null ? '' : (lines[line - 1] ?? '').trim().slice(0, 120),
  }));
}

interface Plan {
  changes: readonly PlannedChange[];
  words: readonly string[];
  people: readonly object[];
  token: string;
}

/** A plan as the page shows it. Empty: with it, nothing would change. */
export function planShown({ changes, words, people, token }: Plan): object {
  const signs: Record<string, string> = { '+': 'New', '~': 'Changed', '-': 'Gone' };
  const tones: Record<string, string> = { '+': 'good', '~': 'warn', '-': 'bad' };
  const other = words.filter((word) => !/^[+~-] /.test(word));
  return {
    token,
    isEmpty: words.length === 0,
    isForPeople: people.length > 0,
    changes: changes.map(({ sign, object, detail }) => ({
      ...{ object, detail, tone: tones[sign], label: signs[sign] },
    })),
    // The lines below the first belong to it.
    people: other.map((word) => ({ text: word.trim(), isHead: !word.startsWith(' ') })),
  };
}
