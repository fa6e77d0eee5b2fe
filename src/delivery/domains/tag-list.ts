/**
 * A list such as `v=DMARC1; p=none` (RFC 6376 §3.2). Names in lower case, values trimmed. Null when a part has no `=`
 * or a name stands there twice: readers must then take the whole record for broken.
 */
export function parseTagList(text: string): Map<string, string> | null {
  const tags = new Map<string, string>();
  for (const part of text.split(';')) {
    if (part.trim() === '') continue;
    const equals = part.indexOf('=');
    const name = part.slice(0, equals).trim().toLowerCase();
    if (equals < 1 || name === '' || tags.has(name)) return null;
    tags.set(name, part.slice(equals + 1).trim());
  }
  return tags;
}
