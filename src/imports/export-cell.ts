/**
 * A cell that begins so is run as a formula by Excel, LibreOffice, Numbers or Google Sheets (OWASP, CSV injection), in
 * their full-width forms and behind spaces too. The apostrophe is in it because that is what makes the others harmless,
 * and must itself come back.
 */
const DANGEROUS = /^[\s\u200b\ufeff]*['=+\-@|%\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;
/**
 * Where a spreadsheet splits at semicolons, as in most of Europe, or at tabs, the quotation marks around a cell of this
 * file do not count, and what stands behind such a sign in it is a cell of its own. Taken whole whether a formula follows
 * or not: looked for from each sign of a long run anew, it took seconds for one cell.
 */
const CELL_INSIDE = /([;\t\r\n][\s"]*)('*)([=+\-@\uff1d\uff0b\uff0d\uff20])?/g;
const NUMBER = /^-?\d+(\.\d+)?$/;

/** A value as a quoted cell: an apostrophe stands before what a spreadsheet would run, and it is shown as text. */
export function exportCell(value: string): string {
  const inside = insideOf(value, (apostrophes) => `'${apostrophes}`);
  const safe = DANGEROUS.test(value) && !NUMBER.test(value) ? `'${inside}` : inside;
  return `"${safe.replaceAll('"', '""')}"`;
}

/**
 * What `exportCell` wrote, without its apostrophes. From other products, and in rejected rows that were mended, an
 * apostrophe is taken off only where it keeps a formula from running, since else it may begin a name.
 */
export function readCell(cell: string, isOwn: boolean): string {
  const isGuarded = cell.startsWith("'") && (isOwn || /^'[=+\-@]/.test(cell));
  return insideOf(isGuarded ? cell.slice(1) : cell, (apostrophes) => apostrophes.slice(1));
}

/** With other apostrophes before each formula inside it. */
function insideOf(text: string, changed: (apostrophes: string) => string): string {
  return text.replace(CELL_INSIDE, (all: string, before: string, apostrophes: string, sign?: string) =>
    sign === undefined ? all : `${before}${changed(apostrophes)}${sign}`,
  );
}
