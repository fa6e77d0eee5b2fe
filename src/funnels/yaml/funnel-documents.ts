import { DomainError } from '../../values/domain-error.js';

const MARKER = /^(?:---|\.\.\.)(?=\s|$)/;
/** A blank line, a comment, or a directive such as `%YAML 1.2` before the marker. */
const NOTHING = /^(?:\s*(?:#.*)?|%.*)$/;

/** Each is looked through beside all others; more are a mistake, or meant to keep the server busy. */
const MAX_FUNNELS = 1_000;

/** Throws `FUNNEL_FILE_INVALID` over more funnels than are taken together. */
export function checkNumber(files: readonly { name: string; before: number }[]): void {
  const first = files[MAX_FUNNELS];
  if (first === undefined) return;
  const message = `${first.name}:${first.before + 1}: here begins one funnel more than are taken together; ${MAX_FUNNELS} are the most`;
  throw new DomainError('FUNNEL_FILE_INVALID', message, { most: MAX_FUNNELS });
}

/** One of the funnels of a text. */
interface FunnelDocument {
  text: string;
  /** How many lines of the whole stand before it, for those who number its own. */
  before: number;
}

/**
 * The funnels of a text, which may hold several with `---` between them, as an export of all does. Each keeps its directives.
 * A text without any is one.
 */
export function documentsOf(text: string): [FunnelDocument, ...FunnelDocument[]] {
  const documents: { lines: string[]; before: number; isFilled: boolean }[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const isMarker = MARKER.test(line);
    let last = documents.at(-1);
    // What holds nothing yet goes on behind a marker, with its directives.
    if (last === undefined || (isMarker && last.isFilled))
      documents.push((last = { lines: [], before: index, isFilled: false }));
    if (isMarker && last.lines.length > 0 && !last.isFilled) unmark(last.lines);
    const own = last.isFilled ? line : line.replace(/^\uFEFF/, '');
    last.lines.push(isMarker && line.startsWith('...') ? unmarked(own) : own);
    last.isFilled ||= !NOTHING.test(unmarked(own));
  }
  const filled = documents.filter(({ isFilled }) => isFilled);
  const [first, ...others] = filled.map(({ lines, before }) => ({ text: lines.join('\n'), before }));
  return first === undefined ? [{ text, before: 0 }] : [first, ...others];
}

/** There is one marker at most: the last before this one. */
function unmark(lines: string[]): void {
  const at = lines.findLastIndex((line) => MARKER.test(line));
  if (at >= 0) lines[at] = unmarked(lines[at] ?? '');
}

/** Of a marker only what stands behind it on its line. */
function unmarked(line: string): string {
  return line.replace(MARKER, '   ');
}
