/**
 * An absolute address, or null for a text that is none. In place of `URL.canParse`, which in Node 20 takes a letter such
 * as ü for half of another one once it has been called some thousand times: `https://müller.example/` is then none.
 */
export function urlOf(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

/** Whether a part of a URL can be read: a % must begin the number of a sign, and one that is meant is written as %25. */
export function isDecodable(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

// oxlint-disable-next-line no-control-regex
const UNREAD = /[\u0000-\u0020]/;
const BLANK = 0x20;

/**
 * What browsers make of an address before they look at it (URL standard §4.4): controls and blanks around it go, tabs and
 * line breaks go wherever they stand. Without this a link that is written over two lines is another one to us than to them.
 */
export function addressAsRead(text: string): string {
  if (!UNREAD.test(text)) return text;
  const joined = text.replace(/[\t\n\r]/g, '');
  // By hand: a pattern for the end would begin anew at each blank of a long run that is not there.
  let [start, end] = [0, joined.length];
  while (start < end && joined.charCodeAt(start) <= BLANK) start++;
  while (end > start && joined.charCodeAt(end - 1) <= BLANK) end--;
  return joined.slice(start, end);
}
