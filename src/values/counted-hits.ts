/**
 * What counts as an opening or a click, the same for sequences, segments, results of broadcasts and the pages about people.
 * SQL over `e`, an opening or a click. A machine's hit is nobody's. An opening of which nothing says whether it was a machine's counts: who
 * has "not opened in 90 days" is cleaned out, and may have. A click counts where it is a person's, as ways and tests are
 * decided by it. Whoever clicked has opened, also where the mail program shows no pictures.
 */
export function countsAsOpened(e: string): string {
  return `(${e}.class = 'human' or (${e}.class = 'unknown' and ${e}.kind = 'open'))`;
}

/**
 * What keeps a mail from being sent once more: here a click counts, too, that may have been a person's. Better that somebody
 * is not reminded than that somebody who has read it is written to again.
 */
export function mayBeRead(e: string): string {
  return `${e}.class in ('human', 'unknown')`;
}
