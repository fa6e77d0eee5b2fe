/** What stands between these elements is dropped by MJML without a word, but for `<mj-raw>`. */
const HOLDERS: ReadonlySet<string> = new Set([
  ...['mj-head', 'mj-body', 'mj-wrapper', 'mj-section', 'mj-group', 'mj-column', 'mj-hero'],
  ...['mj-navbar', 'mj-social', 'mj-accordion', 'mj-accordion-element'],
]);
/** In these not even that is kept. */
const CLOSED: ReadonlySet<string> = new Set([
  'mjml',
  'mj-carousel',
  'mj-attributes',
  'mj-html-attributes',
  'mj-selector',
]);
/** What is begun and has no end takes all that follows: else each such beginning would look through the rest anew. */
const TOKEN =
  /<!--[\s\S]*?(?:-->|$)|\{%[\s\S]*?(?:%\}|$)|\{\{[\s\S]*?(?:\}\}|$)|<(\/?)(mjml|mj-[a-z-]+)\b(?:"[^"]*"|'[^']*'|[^>"']){0,5000}?(\/?)>/g;

interface Bare {
  tag: string;
  index: number;
  /** Where it would be dropped whatever is done. */
  isLost: boolean;
}

/**
 * Keeps the conditions and loops that stand between elements of MJML, as builders write them: both branches went to everybody.
 * Lines stay where they are.
 */
export function withBareLiquid(source: string): string {
  let [kept, from] = ['', 0];
  for (const { tag, index, isLost } of bareLiquid(source)) {
    if (isLost) continue;
    kept += `${source.slice(from, index)}<mj-raw>${tag}</mj-raw>`;
    from = index + tag.length;
  }
  return kept + source.slice(from);
}

/** The first tag that MJML would drop for good; null: there is none. */
export function lostLiquid(source: string): Bare | null {
  return bareLiquid(source).find(({ isLost }) => isLost) ?? null;
}

function bareLiquid(source: string): Bare[] {
  const open: string[] = [];
  const found: Bare[] = [];
  for (const { 0: tag, 1: closes, 2: name, 3: closesItself, index } of source.matchAll(TOKEN)) {
    const around = open.at(-1) ?? '';
    if (name === undefined) {
      // Words would stand beside the cells of a table.
      const isWord = tag.startsWith('{{');
      // A comment, or one without an end, which is refused with its line by who reads the Liquid.
      if (!(isWord ? tag.endsWith('}}') : tag.endsWith('%}') && tag.startsWith('{%'))) continue;
      if (HOLDERS.has(around)) found.push({ tag, index, isLost: isWord });
      else if (CLOSED.has(around)) found.push({ tag, index, isLost: true });
    } else if (closes === '/') open.splice(Math.max(open.lastIndexOf(name), 0));
    else if (closesItself !== '/') open.push(name);
  }
  return found;
}
