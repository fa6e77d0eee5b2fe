const MARKER = /^(?:---|\.\.\.)(?=\s|$)/;
/** A blank line, a comment, or a directive such as `%YAML 1.2` before the marker. */
const NOTHING = /^(?:\s*(?:#.*)?|%.*)$/;

/** One of the funnels of a text. */
export interface FunnelDocument {
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
