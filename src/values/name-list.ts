/** Names in one field, with commas between them; one with a comma or a quote of its own stands in quotes, as in a table. */
export function namesText(names: readonly string[]): string {
  return names.map((name) => (/[",]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name)).join(', ');
}

const NAME = /(?:\s*"((?:[^"]|"")*)"\s*(?=,|$)|([^,]*))(?:,|$)/g;

/** The names in what `namesText` wrote, or somebody typed. */
export function namesIn(text: string): string[] {
  return [...text.matchAll(NAME)]
    .map(([, quoted, plain = '']) => (quoted === undefined ? plain : quoted.replaceAll('""', '"')).trim())
    .filter((name) => name !== '');
}
