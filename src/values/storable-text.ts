/** PostgreSQL keeps no NUL in a text. Most texts have none, and stay as they are. */
export function storable(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '') : text;
}
