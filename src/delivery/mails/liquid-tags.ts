const OPEN = /\{[{%]/g;

/**
 * The parts of a text; every other one is a tag of Liquid. In one pass: a pattern would look for the end of each tag anew,
 * and of one that has none, such as stands within `{% raw %}`, to the end of the text.
 */
export function splitByTags(text: string): string[] {
  const parts: string[] = [];
  const missing = new Set<string>();
  let at = 0;
  const open = new RegExp(OPEN);
  for (let match = open.exec(text); match !== null; match = open.exec(text)) {
    const close = match[0] === '{{' ? '}}' : '%}';
    const end = missing.has(close) ? -1 : text.indexOf(close, match.index + 2);
    if (end < 0) {
      missing.add(close);
      open.lastIndex = match.index + 1;
      continue;
    }
    open.lastIndex = end + 2;
    parts.push(text.slice(at, match.index), text.slice(match.index, end + 2));
    at = end + 2;
  }
  return [...parts, text.slice(at)];
}
