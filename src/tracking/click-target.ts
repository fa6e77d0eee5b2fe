const MAX_URL_CHARS = 4_096;
/** Controls and white space, which browsers strip, and the backslash, which they read as a slash. */
// oxlint-disable-next-line no-control-regex
const DECEPTIVE = /[\u0000-\u0020\u007f-\u009f\\\u2028\u2029]/;

/**
 * The address a redirect may go to, unchanged, or null. Only http and https with a host, and nothing that a browser
 * reads differently from a person: no `user@`, no control characters, no backslash.
 */
export function safeClickTarget(url: string): string | null {
  if (
    url.length > MAX_URL_CHARS ||
    DECEPTIVE.test(url) ||
    !/^https?:\/\/[^/]/i.test(url) ||
    !URL.canParse(url)
  )
    return null;
  const { username, password, hostname } = new URL(url);
  return username === '' && password === '' && hostname !== '' ? url : null;
}
