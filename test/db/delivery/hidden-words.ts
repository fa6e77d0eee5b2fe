import { decodeHTML } from 'entities';
import { shownParts } from '../../../src/delivery/mails/shown-parts.js';

const PREVIEW = /<div style="display:none[^"]*">([\s\S]*?)<\/div>/;

/** Without blanks, which say nothing of what is hidden. */
function wordsIn(html: string): string {
  return decodeHTML(html.replace(/<[^>]*>/g, '')).replace(/\s+/g, '');
}

/** What stands in the text of a mail in front of all that its readers see; all of its text where more is hidden than that. */
export function hiddenWords(html: string): string {
  const body = html.replace(/^[\s\S]*?<body\b[^>]*>/i, '').replace(/<!--[\s\S]*?-->/g, '');
  const whole = wordsIn(body.replace(/<style\b[\s\S]*?<\/style>/gi, ''));
  const shown = shownParts(html.replace(/<!doctype[^>]*>/i, '')).text.replace(/\s+/g, '');
  return whole.endsWith(shown) ? whole.slice(0, whole.length - shown.length) : whole;
}

/** What `<mj-preview>` comes to. */
export function previewWords(html: string): string {
  return wordsIn(PREVIEW.exec(html)?.[1] ?? '');
}
