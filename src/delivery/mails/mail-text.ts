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
  ],
};

const LIQUID = /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}/g;
/** Of the last two planes of Unicode, which have no letters. */
const FIRST_MARK = 0xf0000;
const MARK = /[\u{f0000}-\u{10fffd}]/gu;
const FILL = String.fromCodePoint(0x10fffd);
const MOST_MARKS = 0x10fffd - FIRST_MARK;
/** A variable is taken for a word of eight letters where lines are broken: marks count twice. */
const AS_WORD = FILL.repeat(3);

/**
 * The text part of a mail whose variables are still open. Marks stand for the tags while lines are broken and blanks made
 * one: a tag that is broken within its quotation marks compares with another word than the same one in the HTML.
 */
export function textOfHtml(html: string): string {
  const marks = new Map<string, string>();
  const marked = html.replace(MARK, '').replace(LIQUID, (tag) => {
    if (!marks.has(tag) && marks.size < MOST_MARKS)
      marks.set(tag, String.fromCodePoint(FIRST_MARK + marks.size) + (tag.startsWith('{{') ? AS_WORD : ''));
    return marks.get(tag) ?? tag;
  });
  const tags = [...marks.keys()];
  return convert(marked, OPTIONS)
    .replace(MARK, (mark) => tags[(mark.codePointAt(0) ?? 0) - FIRST_MARK] ?? '')
    .trim();
}
