const TO_ESCAPE = /["\\]/g;

/**
 * A PostgreSQL array as text, for a parameter such as `$1::bigint[]`. The driver asks of each element what it is;
 * columns of thousands of plain values are written several times faster without that.
 */
export function arrayLiteral(values: readonly (string | number | null)[]): string {
  let text = '';
  for (const value of values) {
    const item = value === null ? 'null' : typeof value === 'number' ? String(value) : quoted(value);
    text += text === '' ? item : `,${item}`;
  }
  return `{${text}}`;
}

function quoted(value: string): string {
  return value.includes('"') || value.includes('\\') ? `"${value.replace(TO_ESCAPE, '\\$&')}"` : `"${value}"`;
}
