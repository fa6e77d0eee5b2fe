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
