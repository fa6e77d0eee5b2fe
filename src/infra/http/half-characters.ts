/**
 * The dotted path of the first text, or name of a field, that holds half of a character (a surrogate without its other
 * half, as of a text that was cut between them); null when none does. PostgreSQL would be sent a question mark in its
 * place, and two keys that differ would be one. Without recursion: how deep it is nested is the sender's choice.
 */
export function halfCharacterIn(value: unknown): string | null {
  const toLookAt: [path: string, value: unknown][] = [['', value]];
  for (let next = toLookAt.pop(); next !== undefined; next = toLookAt.pop()) {
    const [path, one] = next;
    if (typeof one === 'string' && !one.isWellFormed()) return path;
    if (!isPlain(one)) continue;
    for (const [key, inner] of Object.entries(one)) {
      const at = path === '' ? key : `${path}.${key}`;
      if (!key.isWellFormed()) return at.toWellFormed();
      toLookAt.push([at, inner]);
    }
  }
  return null;
}

/** What JSON makes; a file that is sent is a stream. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const made: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || made === Object.prototype || made === null;
}
