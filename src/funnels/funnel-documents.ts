const MARKER = /^(?:---|\.\.\.)(?=\s|$)/;
/** A blank line, a comment, or a directive such as `%YAML 1.2` before the marker. */
const NOTHING = /^(?:\s*(?:#.*)?|%.*)$/;

/**
 * The funnels of a text, which may hold several with `---` between them, as an export of all does. Each has blank lines in
 * place of those before it, so that its own keep their numbers. A text without any is one.
 */
export function documentsOf(text: string): [string, ...string[]] {
  const documents: string[][] = [[]];
  for (const [index, line] of text.split('\n').entries()) {
    if (MARKER.test(line)) documents.push(Array.from({ length: index }, () => ''));
    documents.at(-1)?.push(line.replace(MARKER, '   '));
  }
  const filled = documents.filter((lines) => !lines.every((line) => NOTHING.test(line)));
  const [first, ...others] = filled.map((lines) => lines.join('\n'));
  return first === undefined || others.length === 0 ? [text] : [first, ...others];
}
