import { decodeHTML } from 'entities';
import { convert, type FormatCallback } from 'html-to-text';
import { splitByTags } from './liquid-tags.js';
import { addressAsRead } from '../../values/url.js';

/** Cells that touch would be one word: "Course$10". */
const cell: FormatCallback = (elem, walk, builder) => {
  walk(elem.children, builder);
  builder.addInline(' ');
};

/** Pictures are left out, but of one that is a link the words say where it leads. */
const picture: FormatCallback = (elem, _walk, builder) => {
  let around = elem.parent;
  while (around && !(around.type === 'tag' && around.name === 'a')) around = around.parent;
  if (around) builder.addInline(elem.attribs?.alt ?? '');
};

/** A letter is begun from an address alone, without `mailto:`: what its subject would be is of no use there. */
function addressInText(address: string): string {
  const read = addressAsRead(address);
  return /^[^/?#:]+@[^/?#:]+\?/.test(read) ? read.slice(0, read.indexOf('?')) : read;
}

/** With and without a blank, as mails write it; wherever it stands in the style. */
const HIDDEN = ['[style*="display:none" i]', '[style*="display: none" i]'];
/** Of an element that is hidden from some readers: which look says from whom. */
const LOOK = 'data-ws-look';
const LOOK_VARIABLE = 'ws_look';
const STYLE = /(?<![\w-])style\s*=\s*(?:"([^"]*)"|'([^']*)')/gi;
const MAY_HIDE = /display\s*:\s*(?:none\b|\{[{%])/i;
const HEADINGS = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'];
const OPTIONS = {
  wordwrap: 78,
  selectors: [
    { selector: 'img', format: 'picture' },
    // The preview line, which the HTML hides as well, and what is for some screens alone.
    ...HIDDEN.map((selector) => ({ selector, format: 'hidden' })),
    { selector: `[${LOOK}]`, format: 'perhaps' },
    // Of a carousel all pictures but the first are hidden until they are asked for; small ones lead to the big one alone.
    { selector: 'div.mj-carousel-image', format: 'block', options: { leadingLineBreaks: 1 } },
    { selector: 'a.mj-carousel-thumbnail', format: 'skip' },
    {
      ...{ selector: 'a', format: 'link' },
      options: { hideLinkHrefIfSameAsText: true, pathRewrite: addressInText },
    },
    ...HEADINGS.map((selector) => ({ selector, options: { uppercase: false } })),
    { selector: 'table', format: 'block' },
    { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    ...['td', 'th'].map((selector) => ({ selector, format: 'cell' })),
  ],
};

/** Signs that fill up the preview line behind its words, so that mail programs show none of the letter there. */
const FILL_SIGN = String.raw`(?:\u034f|[\u200b-\u200d\u00ad\ufeff])`;
/** No-break spaces stand between them. One sign by itself is how some words are written. */
const FILLING = new RegExp(
  `(?<![\\u00a0\\u2007 ])[\\u00a0\\u2007 ]*${FILL_SIGN}(?:[\\u00a0\\u2007 ]*${FILL_SIGN})+[\\u00a0\\u2007 ]*`,
  'g',
);
/** Blanks of all widths, which keep empty cells apart in the HTML. */
const BLANK_LINE = new RegExp(`^(?:${FILL_SIGN}|[\\u00a0\\u2000-\\u200a \\t])+$`, 'gm');
/** Before and behind the words of a line, where the HTML keeps cells apart. */
const BLANK_ENDS =
  /^[ \t]*[\u00a0\u2000-\u200a][\u00a0\u2000-\u200a \t]*|(?<![\u00a0\u2000-\u200a \t])[\u00a0\u2000-\u200a \t]+$/gm;

/** Tags that print nothing themselves. */
const SILENT =
  /^\{%-?\s*(?:#|(?:if|elsif|else|unless|case|when|for|break|continue|assign|capture|comment|raw|end[a-z]+)\b|liquid\b(?![\s\S]*\b(?:echo|cycle|increment|decrement)\b))/;
/** What stands below holds on behind them. */
const SETS = /^\{%-?\s*(?:assign|capture|liquid|increment|decrement)\b/;
const CAPTURE = /^\{%-?\s*(?:end)?capture\b/;
const OPENS = /^\{%-?\s*(?:if|unless|case|for|capture|comment|raw)\b/;
const CLOSES = /^\{%-?\s*end/;
const GOES_ON = /^\{%-?\s*(?:elsif|else|when)\b/;
const LOOP = /^\{%-?\s*for\b/;
const LOOP_END = /^\{%-?\s*endfor\b/;
const CONDITION = /^\{%-?\s*(?:if|elsif|unless|case|when)\b/;
/** Of the last two planes of Unicode, which have no letters. */
const FIRST_MARK = 0xf0000;
const LAST_MARK = 0x10fffc;
const FILL = '\u{10fffd}';
const MARK = /[\u{f0000}-\u{10fffd}]/gu;
/** What prints is taken for a word of eight letters where lines are broken; a mark counts twice. */
const AS_WORD = FILL.repeat(3);
/** Of a tag that prints nothing. */
const SILENT_MARK = /([\u{f0000}-\u{10fffc}](?!\u{10fffd}))/u;
const SILENT_LINE = / *((?:[\u{f0000}-\u{10fffc}](?!\u{10fffd}) *)+)(\n+)/gu;
/** In the beginning of a line: something that prints. */
const PRINTS = /[^ \u{f0000}-\u{10fffc}]/u;
/** Behind words, at the end of their line. */
const LINE_ENDS = /(?<=[^ \n\u{f0000}-\u{10fffc}])((?: *[\u{f0000}-\u{10fffc}](?!\u{10fffd}))+) *(\n+)/gu;
const BEGINS_CONDITION = /^\{%-?\s*(?:if|unless|capture ws_look)\b/;
const SILENT_LINES = new RegExp(`(^|(?<!\\n)\\n+)((?:${SILENT_LINE.source})+)`, 'gu');

/**
 * The text part of a mail whose variables are still open. Marks stand for the tags while lines are broken and blanks made
 * one: a tag that is broken within its quotation marks compares with another word than the same one in the HTML.
 */
export function textOfHtml(html: string): string {
  const tags = new Tags();
  const marked = tags.marked(html.replace(MARK, ''));
  const { open, looks } = withLooks(marked, tags);
  const hidden: FormatCallback = (elem, _walk, builder) => {
    const tagsLeft = effectOf(wordsIn(elem), tags);
    if (tagsLeft !== '') builder.addInline(tagsLeft);
  };
  let spoken: SpokenLinks | undefined;
  const link: FormatCallback = (elem, walk, builder, options) => {
    spoken ??= spokenLinks(rootOf(elem));
    // An icon beside its words: the same address would stand there twice.
    if (!spoken.links.has(elem) && spoken.addresses.has(elem.attribs?.['href'] ?? '')) return;
    builder.options.formatters?.['anchor']?.(elem, walk, builder, options);
  };
  const perhaps: FormatCallback = (elem, walk, builder) => {
    const look = looks[Number(elem.attribs?.[LOOK] ?? '')] ?? '';
    delete elem.attribs?.[LOOK];
    const words = wordsIn(elem);
    const isWhole = look !== '' && isBalanced(words, tags);
    if (isWhole) builder.addInline(tags.markOf(unlessHiddenBy(look)));
    walk([elem], builder);
    if (!isWhole) return;
    const effect = tags.asWritten(effectOf(words, tags));
    builder.addInline(tags.markOf(`${effect === '' ? '' : `{% else %}${effect}`}{% endunless %}`));
  };
  const read = convert(open, { ...OPTIONS, formatters: { cell, picture, link, hidden, perhaps } })
    .replace(FILLING, ' ')
    .replace(BLANK_LINE, '')
    .replace(BLANK_ENDS, '')
    .replace(/\n{3,}/g, '\n\n');
  return withLoopLines(read, tags)
    .replace(LINE_ENDS, (whole, marks: string, breaks: string) =>
      // Else the words behind the condition would stand in the line before it where it does not hold.
      [...marks.matchAll(MARK)].every(([mark]) => BEGINS_CONDITION.test(tags.of(mark)))
        ? breaks + marks.trimStart()
        : whole,
    )
    .replace(SILENT_LINES, joined)
    .replace(MARK, (mark) => asRead(tags.of(mark)))
    .trim();
}

/** The tags of a mail, each by the mark that stands for it. */
class Tags {
  readonly #marks = new Map<string, string>();
  readonly #tags: string[] = [];

  markOf(tag: string): string {
    const next = FIRST_MARK + this.#tags.length;
    if (!this.#marks.has(tag) && next <= LAST_MARK) {
      this.#marks.set(tag, String.fromCodePoint(next) + (SILENT.test(tag) ? '' : AS_WORD));
      this.#tags.push(tag);
    }
    return this.#marks.get(tag) ?? tag;
  }

  marked(text: string): string {
    return splitByTags(text)
      .map((part, place) => (place % 2 === 1 ? this.markOf(part) : part))
      .join('');
  }

  of(mark: string): string {
    return this.#tags[(mark.codePointAt(0) ?? 0) - FIRST_MARK] ?? '';
  }

  asWritten(marked: string): string {
    return marked.replace(MARK, (mark) => this.of(mark));
  }
}

/**
 * What is hidden from some readers alone is not left out. Where that is asked by its look, which the element then has the
 * number of, so does the text.
 */
function withLooks(marked: string, tags: Tags): { open: string; looks: string[] } {
  const looks: string[] = [];
  const open = marked.replace(/<[a-z][^<>]{0,5000}>/gi, (tag) => {
    if (tag.search(MARK) < 0) return tag;
    const isOpen = SILENT_MARK.test(tag.replace(/"[^"]*"|'[^']*'/g, ''));
    let look = isOpen ? tags.asWritten(tag.replace(/^<[^\s>]+|>$/g, '')) : '';
    const plain = tag.replace(STYLE, (style, double: string | undefined, single: string | undefined) => {
      const written = tags.asWritten(double ?? single ?? '');
      if (!isOpen && !SILENT_MARK.test(style) && !/display\s*:\s*\{\{/i.test(written)) return style;
      if (!isOpen) look = written;
      return ' ';
    });
    if (!MAY_HIDE.test(look) || !isBalanced(tags.marked(look), tags)) return plain;
    return plain.replace(/^<[^\s>/]+/, (start) => `${start} ${LOOK}="${looks.push(look) - 1}"`);
  });
  return { open, looks };
}

function unlessHiddenBy(look: string): string {
  const plain = `{% assign ${LOOK_VARIABLE} = ${LOOK_VARIABLE} | strip_newlines | remove: " " | downcase %}`;
  return `{% capture ${LOOK_VARIABLE} %}${look}{% endcapture %}${plain}{% unless ${LOOK_VARIABLE} contains "display:none" %}`;
}

/** Whether all conditions and loops in it end there, and none of around goes on in it. */
function isBalanced(words: string, tags: Tags): boolean {
  let depth = 0;
  for (const [mark] of words.matchAll(MARK)) {
    const tag = tags.of(mark);
    if (OPENS.test(tag)) depth++;
    else if (CLOSES.test(tag)) depth--;
    if (depth < 0 || (depth === 0 && GOES_ON.test(tag))) return false;
  }
  return depth === 0;
}

type Element = Parameters<FormatCallback>[0];

function wordsIn(elem: Element): string {
  let words = '';
  const left: Element[] = [elem];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    if (node.type === 'text') words += node.data ?? '';
    left.push(...(node.children ?? []).toReversed());
  }
  return words;
}

function rootOf(elem: Element): Element {
  let root = elem;
  while (root.parent) root = root.parent;
  return root;
}

/** Those that have words, or a picture that is told of, and where they lead. */
interface SpokenLinks {
  links: ReadonlySet<Element>;
  addresses: ReadonlySet<string>;
}

function spokenLinks(root: Element): SpokenLinks {
  const links = new Set<Element>();
  const left: { node: Element; around: Element | null }[] = [{ node: root, around: null }];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { node, around } = next;
    const words = node.type === 'text' ? node.data : node.attribs?.['alt'];
    if (around !== null && (words ?? '').trim() !== '') links.add(around);
    const isLink = node.type === 'tag' && node.name === 'a';
    for (const child of node.children ?? []) left.push({ node: child, around: isLink ? node : around });
  }
  return { links, addresses: new Set([...links].map(({ attribs }) => attribs?.['href'] ?? '')) };
}

/**
 * What hidden words do to those behind them: they may set a variable that is printed there, or hold one end of a condition,
 * whose other end Liquid would refuse by itself. Empty where they do nothing.
 */
function effectOf(words: string, tags: Tags): string {
  let [kept, depth] = ['', 0];
  let [has, isCaptured] = [false, false];
  // Every other part is the mark of a tag that prints nothing.
  for (const [at, part] of words.split(SILENT_MARK).entries()) {
    if (at % 2 === 0) {
      const left = isCaptured ? part : settersIn(part, tags);
      has ||= left !== '' && !isCaptured;
      kept += left;
      continue;
    }
    const tag = tags.of(part);
    kept += part;
    if (CAPTURE.test(tag)) isCaptured = !CLOSES.test(tag);
    if (OPENS.test(tag)) depth++;
    else if (CLOSES.test(tag)) depth--;
    else has ||= depth === 0;
    has ||= SETS.test(tag) || depth < 0;
  }
  return has || depth !== 0 ? kept : '';
}

/** Tags that set a variable and print, without what they print. */
function settersIn(words: string, tags: Tags): string {
  return [...words.matchAll(MARK)]
    .map(([mark]) => tags.of(mark))
    .filter((tag) => SETS.test(tag))
    .map((tag) => tags.markOf(`{% capture ${LOOK_VARIABLE} %}${tag}{% endcapture %}`))
    .join('');
}

/**
 * A loop that ends within a line parts what it repeats by the breaks behind its beginning alone: it is marked as one that
 * prints, so that they stay. Without them two items would stand in one line, `- a- b`.
 */
function withLoopLines(text: string, tags: Tags): string {
  const open: number[] = [];
  const parting: number[] = [];
  for (const { 0: mark, index } of text.matchAll(MARK)) {
    const tag = tags.of(mark);
    if (LOOP.test(tag)) open.push(index + mark.length);
    const begins = LOOP_END.test(tag) ? open.pop() : undefined;
    if (begins === undefined) continue;
    const line = text.lastIndexOf('\n', index) + 1;
    if (line > begins && PRINTS.test(text.slice(line, index))) parting.push(begins);
  }
  const ends = [...parting.toSorted((a, b) => a - b), text.length];
  return ends.map((end, at) => text.slice(ends[at - 1] ?? 0, end)).join(FILL);
}

/**
 * What a tag prints is no HTML here. What it compares with stays as it is, as in the HTML, and a quotation mark would end
 * the words it stands in.
 */
function asRead(tag: string): string {
  if (CONDITION.test(tag) || tag.includes(LOOK_VARIABLE)) return tag;
  return tag.replace(/&#?\w{1,40};/g, (entity) => {
    const character = decodeHTML(entity);
    return /["'{}%]/.test(character) ? entity : character;
  });
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
