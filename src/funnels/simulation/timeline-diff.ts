/** Lines that stand around a difference. */
const AROUND = 2;
/** A readable difference is a short one. */
const MOST_LINES = 200;

/**
 * What a timeline says differently from the expected one: `- ` lines are missing, `+ ` lines are new, each after the name
 * of the person it belongs to. Empty when they say the same; how lines end does not count.
 */
export function timelineDifferences(expected: string, found: string): string[] {
  const [before, after] = [blocks(expected), blocks(found)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const lines = names.flatMap((name) => {
    const changes = changesOf(before.get(name) ?? [], after.get(name) ?? []);
    if (changes.length === 0 && before.has(name) && after.has(name)) return [];
    const sign = before.has(name) ? (after.has(name) ? '' : '- ') : '+ ';
    return [`${sign}${name}`, ...changes];
  });
  if (lines.length <= MOST_LINES) return lines;
  return [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} lines more`];
}

/** By their first line. */
function blocks(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const block of text.replaceAll('\r\n', '\n').trim().split(/\n\n+/)) {
    const [name = '', ...lines] = block.split('\n').map((line) => line.trimEnd());
    found.set(name, [...(found.get(name) ?? []), ...lines]);
  }
  return found;
}

/** The differing lines with their surroundings, `…` where equal ones are left out. */
function changesOf(before: readonly string[], after: readonly string[]): string[] {
  const all = aligned(before, after);
  const near = all.map((_, at) =>
    all.slice(Math.max(0, at - AROUND), at + AROUND + 1).some(({ sign }) => sign !== ' '),
  );
  return all.flatMap(({ sign, line }, at) => {
    if (near[at] === true) return [`${sign} ${line}`];
    return near[at - 1] === true ? ['  …'] : [];
  });
}

/** The longest common part keeps its place; what else there was goes before what is new. */
function aligned(
  before: readonly string[],
  after: readonly string[],
): { sign: ' ' | '-' | '+'; line: string }[] {
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      common[i * width + j] =
        before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: { sign: ' ' | '-' | '+'; line: string }[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const [old, new_] = [before[i], after[j]];
    if (old !== undefined && old === new_) {
      lines.push({ sign: ' ', line: old });
      i++;
      j++;
    } else if (old !== undefined && (new_ === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ sign: '-', line: old });
      i++;
    } else {
      lines.push({ sign: '+', line: new_ ?? '' });
      j++;
    }
  }
  return lines;
}
