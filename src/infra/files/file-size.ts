const UNITS = ['kB', 'MB', 'GB'] as const;

/** `820 bytes`, `1.2 MB`: decimal units, as download pages and file managers show them. */
export function fileSizeText(bytes: number): string {
  if (bytes < 1000) return bytes === 1 ? '1 byte' : `${bytes} bytes`;
  let size = bytes / 1000;
  let unit = 0;
  // 999.95 is where one decimal would read "1000.0".
  while (size >= 999.95 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toFixed(1).replace(/\.0$/, '')} ${UNITS[unit]}`;
}
