import { convert } from 'html-to-text';
import { addressAsRead } from '../../values/url.js';

const HEADINGS = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'];
const OPTIONS = {
  wordwrap: 78,
  selectors: [
    { selector: 'img', format: 'skip' },
    // The preview line, which the HTML hides as well.
    { selector: 'div[style^="display:none"]', format: 'skip' },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true, pathRewrite: addressAsRead } },
    ...HEADINGS.map((selector) => ({ selector, options: { uppercase: false } })),
    { selector: 'table', format: 'block' },
    { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
  ],
};

/** Tags that print nothing themselves. */
const SILENT =
  /^\{%-?\s*(?:#|(?:if|elsif|else|unless|case|when|for|break|continue|assign|capture|comment|raw|end[a-z]+)\b)/;
const LIQUID = /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}/g;
/** Of the last two planes of Unicode, which have no letters. */
const FIRST_MARK = 0xf0000;
const LAST_MARK = 0x10fffc;
const FILL = '\u{10fffd}';
const MARK = /[\u{f0000}-\u{10fffd}]/gu;
/** What prints is taken for a word of eight letters where lines are broken; a mark counts twice. */
const AS_WORD = FILL.repeat(3);
const SILENT_LINE = / *((?:[\u{f0000}-\u{10fffc}](?!\u{10fffd}) *)+)(\n+)/gu;
const SILENT_LINES = new RegExp(`(^|(?<!\\n)\\n+)((?:${SILENT_LINE.source})+)`, 'gu');

/**
 * The text part of a mail whose variables are still open. Marks stand for the tags while lines are broken and blanks made
 * one: a tag that is broken within its quotation marks compares with another word than the same one in the HTML.
 */
export function textOfHtml(html: string): string {
  const marks = new Map<string, string>();
  const marked = html.replace(MARK, '').replace(LIQUID, (tag) => {
    const next = FIRST_MARK + marks.size;
    if (!marks.has(tag) && next <= LAST_MARK)
      marks.set(tag, String.fromCodePoint(next) + (SILENT.test(tag) ? '' : AS_WORD));
    return marks.get(tag) ?? tag;
  });
  const tags = [...marks.keys()];
  return convert(marked, OPTIONS)
    .replace(SILENT_LINES, joined)
    .replace(MARK, (mark) => tags[(mark.codePointAt(0) ?? 0) - FIRST_MARK] ?? '')
    .trim();
}

/**
 * Lines that print nothing stand in the next one: else a condition or a loop between two paragraphs would leave empty
 * lines, whatever becomes of it. The most breaks that stand between two of them stay.
 */
function joined(_: string, before: string, lines: string): string {
  // Nothing stands before the first line.
  let most = before === '' ? Number.POSITIVE_INFINITY : before.length;
  const tags = lines.replace(SILENT_LINE, (__, marks: string, breaks: string) => {
    const more = Math.max(0, breaks.length - most);
    most = Math.max(most, breaks.length);
    return marks.trimEnd() + '\n'.repeat(more);
  });
  return before + tags;
}
