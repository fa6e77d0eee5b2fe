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
