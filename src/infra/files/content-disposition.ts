/** RFC 5987 attr-char: everything else in an extended value is percent-encoded. */
const NOT_ATTR_CHAR = /[^A-Za-z0-9!#$&+.^_`|~-]/g;

/**
 * `Content-Disposition` of a download (RFC 6266): an ASCII name for old clients, and the true one in the extended form
 * of RFC 5987 where they differ. Control characters and quotes never reach the header.
 */
export function attachment(fileName: string): string {
  const fallback = fileName.replace(/[^\x20-\x7e]|["\\%/]/g, '_');
  const quoted = `attachment; filename="${fallback}"`;
  return fallback === fileName ? quoted : `${quoted}; filename*=UTF-8''${extendedValue(fileName)}`;
}

function extendedValue(text: string): string {
  // A lone surrogate would make UTF-8 encoding ambiguous; it becomes the replacement character.
  const bytes = Buffer.from(text.toWellFormed(), 'utf8').toString('latin1');
  return bytes.replace(
    NOT_ATTR_CHAR,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}
