import { decodeHTML } from 'entities';

/** What stands between these elements is dropped by MJML without a word, but for `<mj-raw>`. */
const HOLDERS: ReadonlySet<string> = new Set([
  ...['mj-head', 'mj-body', 'mj-wrapper', 'mj-section', 'mj-group', 'mj-column', 'mj-hero'],
  ...['mj-navbar', 'mj-social', 'mj-accordion', 'mj-accordion-element'],
]);
/** MJML keeps whatever stands in these; in all others only elements of its own. */
export const KEEPERS: ReadonlySet<string> = new Set([
  ...['mj-breakpoint', 'mj-preview', 'mj-style', 'mj-title', 'mj-button', 'mj-raw', 'mj-text', 'mj-table'],
  ...['mj-social-element', 'mj-navbar-link', 'mj-accordion-text', 'mj-accordion-title', 'mj-carousel-image'],
  // Of its own component there is none: the content is read as the value.
  'mj-html-attribute',
]);
/** What is begun and has no end takes all that follows: else each such beginning would look through the rest anew. */
const TOKEN =
  /<!--[\s\S]*?(?:-->|$)|\{%[\s\S]*?(?:%\}|$)|\{\{[\s\S]*?(?:\}\}|$)|<(\/?)(mjml|mj-[a-z-]+)(?![\w-])(?:"[^"]*"|'[^']*'|[^>"']){0,5000}?(\/?)>/g;
/** HTML of its own is refused by MJML, and an XML prologue is none of its business. */
const TAG = /^<[^<>]*>$/;
/** Builders leave blanks, as does what is pasted, and nobody misses a stray `;` or a `>` too many. */
const WORD = /[\p{L}\p{N}\p{Sc}\p{So}]/u;
/** Nothing is missed where these are dropped. */
const NOTE = /^\{%-?\s*(?:(comment)|endcomment|#)/;

interface Bare {
  /** A tag of Liquid, or words. */
  part: string;
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
  for (const { part, index, isLost } of bareParts(source)) {
    if (isLost) continue;
    kept += `${source.slice(from, index)}<mj-raw>${part}</mj-raw>`;
    from = index + part.length;
  }
  return kept + source.slice(from);
}

/** The first words or tag of Liquid that MJML would drop for good, so that nobody got them; null: there are none. */
export function lostPart(source: string): Bare | null {
  for (const bare of bareParts(source)) if (bare.isLost) return bare;
  return null;
}

function* bareParts(source: string): Generator<Bare> {
  // MJML reads a part that is no whole mail as the inside of a body.
  const root = /<mjml\b/.test(source) ? '' : 'mj-body';
  const open: string[] = [];
  // How deep the element lies whose content is kept; 0: none is open.
  let [keeperDepth, at, isInComment] = [0, 0, false];
  for (const { 0: token, 1: closes, 2: name, 3: closesItself, index } of source.matchAll(TOKEN)) {
    if (keeperDepth === 0 && !isInComment) yield* words(source.slice(at, index), at);
    at = index + token.length;
    if (name === undefined) {
      const note = NOTE.exec(token);
      if (isInComment && !token.includes('endcomment')) continue;
      isInComment = note?.[1] !== undefined;
      if (keeperDepth > 0 || !isWhole(token)) continue;
      const isKept = HOLDERS.has(open.at(-1) ?? root);
      // Words would stand beside the cells of a table.
      if (isKept || note === null) yield { part: token, index, isLost: token.startsWith('{{') || !isKept };
    } else if (closes === '/') {
      if (open.includes(name)) open.splice(open.lastIndexOf(name));
      if (open.length < keeperDepth) keeperDepth = 0;
    } else if (closesItself !== '/') {
      open.push(name);
      if (keeperDepth === 0 && KEEPERS.has(name)) keeperDepth = open.length;
    }
  }
  if (keeperDepth === 0 && !isInComment) yield* words(source.slice(at), at);
}

/** The first of them stands for the line; what follows them goes the same way. */
function* words(between: string, from: number): Generator<Bare> {
  let at = 0;
  for (const text of between.split(/(<[^<>]*>|\n)/)) {
    if (!TAG.test(text) && WORD.test(decodeHTML(text))) {
      const part = text.trim();
      yield { part, index: from + at + text.indexOf(part), isLost: true };
      return;
    }
    at += text.length;
  }
}

/** A comment is not, nor one without an end, which is refused with its line by who reads the Liquid. */
function isWhole(token: string): boolean {
  return (token.startsWith('{%') && token.endsWith('%}')) || (token.startsWith('{{') && token.endsWith('}}'));
}
