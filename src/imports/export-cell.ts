/**
 * A cell that begins so is run as a formula by Excel, LibreOffice, Numbers or Google Sheets (OWASP, CSV injection), in
 * their full-width forms and behind spaces too. The apostrophe is in it because that is what makes the others harmless,
 * and must itself come back.
 */
const DANGEROUS = /^[\s\u200b\ufeff]*['=+\-@|%\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;
const NUMBER = /^-?\d+(\.\d+)?$/;

/** A value as a quoted cell: an apostrophe stands before what a spreadsheet would run, and it is shown as text. */
export function exportCell(value: string): string {
  const safe = DANGEROUS.test(value) && !NUMBER.test(value) ? `'${value}` : value;
  return `"${safe.replaceAll('"', '""')}"`;
}

/**
 * What `exportCell` wrote, without its apostrophe. From other products an apostrophe is taken off only where it keeps a
 * formula from running, since there it may begin a name.
 */
export function readCell(cell: string, isOwn: boolean): string {
  if (!cell.startsWith("'")) return cell;
  return isOwn || /^'[=+\-@]/.test(cell) ? cell.slice(1) : cell;
}

/** Names as one cell holds them, so that `splitNames` finds the same. */
export function joinNames(names: readonly string[]): string {
  return names.map((name) => (/[",]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name)).join(', ');
}
