/** Programs that say so get JSON; a browser, which accepts everything, gets its page. */
export function wantsJson(accept: string | undefined): boolean {
  return accept !== undefined && accept.includes('application/json') && !accept.includes('text/html');
}
