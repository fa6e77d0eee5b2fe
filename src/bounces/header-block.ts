/** Header fields by lower-case name, each with its values in their order, unfolded. */
export type HeaderBlock = ReadonlyMap<string, readonly string[]>;

const MAX_FIELDS = 500;
const MAX_VALUE_CHARS = 4_000;

/** Reads `Name: value` lines, with folding, up to the first empty line; other lines are skipped. */
export function parseHeaderBlock(text: string): HeaderBlock {
  const fields = new Map<string, string[]>();
  let current: string[] | null = null;
  let count = 0;
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') break;
    if (/^[ \t]/.test(line)) {
      const last = current?.pop();
      if (last !== undefined) current?.push(`${last} ${line.trim()}`.slice(0, MAX_VALUE_CHARS));
      continue;
    }
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    current = null;
    if (!/^[!-9;-~]{1,80}$/.test(name) || ++count > MAX_FIELDS) continue;
    current = fields.get(name) ?? [];
    fields.set(name, current);
    current.push(
      line
        .slice(colon + 1)
        .trim()
        .slice(0, MAX_VALUE_CHARS),
    );
  }
  return fields;
}

/** The first value of a field; an empty string when it is not there. */
export function field(block: HeaderBlock | undefined, name: string): string {
  return block?.get(name)?.[0] ?? '';
}
