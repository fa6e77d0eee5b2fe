import { KEEPERS } from './bare-parts.js';

const PARTS =
  /\{%-?\s*(end)?comment\s*-?%\}|\/\*|\*\/|<(\/?)(mjml|mj-[a-z-]+)(?![\w-])(?:(?:"[^"]*"|'[^']*'|[^>"']){0,5000}?)(\/?)>/g;

interface OpenTag {
  name: string;
  index: number;
}

/**
 * The first element that is not closed, or end that closes nothing; null: there is none. What a comment of Liquid or CSS names
 * needs no end where MJML keeps the content as it is.
 */
export function oddTag(source: string): { index: number; reason: string } | null {
  let open: OpenTag[] = [];
  /** How many were open where the comment begins; null: there is none. */
  let around: number | null = null;
  for (const { 0: part, 2: closes, 3: name, 4: closesItself, index } of source.matchAll(PARTS)) {
    if (name === undefined) {
      if (isBegun(part)) around ??= isKept(open, part) ? open.length : null;
      else if (around !== null) [open, around] = [withoutNamed(open, around), null];
    } else if (closes !== '/') {
      if (closesItself !== '/') open.push({ name, index });
    } else {
      // The end alone of another, as in "not behind </mj-column>".
      if (around !== null && !open.some((one) => one.name === name)) continue;
      const last = open.pop();
      if (last === undefined) return { index, reason: `</${name}> closes nothing` };
      if (last.name !== name) return notClosed(last);
      if (around !== null && open.length < around) around = null;
    }
  }
  const left = open.at(-1);
  return left === undefined ? null : notClosed(left);
}

function notClosed({ name, index }: OpenTag): { index: number; reason: string } {
  return { index, reason: `<${name}> is not closed` };
}

function isBegun(part: string): boolean {
  return part === '/*' || (part.startsWith('{%') && !part.includes('endcomment'));
}

/** Elsewhere MJML makes elements of what a comment names. */
function isKept(open: readonly OpenTag[], part: string): boolean {
  return part === '/*' ? open.at(-1)?.name === 'mj-style' : open.some(({ name }) => KEEPERS.has(name));
}

/** But one of the name of an element around it, which MJML takes for that. */
function withoutNamed(open: readonly OpenTag[], around: number): OpenTag[] {
  const names = new Set(open.slice(0, around).map(({ name }) => name));
  return open.filter(({ name }, place) => place < around || names.has(name));
}
