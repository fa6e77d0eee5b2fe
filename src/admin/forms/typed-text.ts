/**
 * Reads the text fields of a form or a query, which anybody may send: trimmed, cut, without what the database cannot
 * store; empty for what is not there or is no text.
 */
export function typedTexts(given: unknown, maxChars: number): (name: string) => string {
  const fields = new Map<string, unknown>(
    typeof given === 'object' && given !== null ? Object.entries(given) : [],
  );
  return (name) => {
    const value = fields.get(name);
    return typeof value === 'string' && value.isWellFormed()
      ? value.replaceAll('\0', '').trim().slice(0, maxChars)
      : '';
  };
}

/** What was typed, by field name. */
export type Typed = Record<string, string>;

/** The fields of a POST, as text: what is none of the form's is left out. */
export function typedFields(body: unknown, isOfForm: (name: string) => boolean, maxChars: number): Typed {
  const given = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  return Object.fromEntries(
    given
      .filter(([name, value]) => typeof value === 'string' && isOfForm(name))
      .map(([name, value]) => [name, String(value).trim().slice(0, maxChars)]),
  );
}
