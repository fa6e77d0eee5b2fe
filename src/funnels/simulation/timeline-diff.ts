/** Lines that stand around a difference. */
const AROUND = 2;
/** A readable difference is a short one. */
const MOST_LINES = 200;

interface Block {
  /** Its first line. */
  name: string;
  lines: string[];
}

/**
 * What a timeline says differently from the expected one: `- ` lines are missing, `+ ` lines are new, each after the name
 * of the people it belongs to. Empty when they say the same; how lines end does not count, nor in which order people stand.
 * People of one persona stand together where they do the same, so a change of one changes whom a block is about: those that
 * are most alike are compared.
 */
export function timelineDifferences(expected: string, found: string): string[] {
  const lines = pairsOf(blocks(expected), blocks(found)).flatMap(([before, after]) => {
    const changes = changesOf(before?.lines ?? [], after?.lines ?? []);
    if (before?.name === after?.name) return changes.length === 0 ? [] : [after?.name ?? '', ...changes];
    const names = [...(before ? [`- ${before.name}`] : []), ...(after ? [`+ ${after.name}`] : [])];
    return [...names, ...changes];
  });
  if (lines.length <= MOST_LINES) return lines;
  return [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} lines more`];
}

/** In the order of the expected text; what is new comes where it stands behind what is known. */
function pairsOf(
  before: readonly Block[],
  after: readonly Block[],
): [Block | undefined, Block | undefined][] {
  const partners = new Map<Block, Block>();
  const free = new Set(after);
  const pair = (one: Block, other: Block | undefined): void => {
    if (other === undefined) return;
    partners.set(one, other);
    free.delete(other);
  };
  for (const one of before)
    pair(
      one,
      [...free].find(({ name }) => name === one.name),
    );
  for (const one of before) {
    if (partners.has(one)) continue;
    const alike = [...free].filter((other) => subjectOf(other, after) === subjectOf(one, before));
    pair(one, alike.toSorted((a, b) => common(one, b) - common(one, a))[0]);
  }
  const known = before.map((one): [Block, Block | undefined] => [one, partners.get(one)]);
  return [...known, ...[...free].map((other): [undefined, Block] => [undefined, other])];
}

/** What a block is about, whoever of a persona and whatever the sums: the first is the simulation as a whole. */
function subjectOf(block: Block, all: readonly Block[]): string {
  if (block === all[0]) return 'head';
  const [, persona, zone] = /^(\S+) [\d, -]+ \((.*)\)$/.exec(block.name) ?? [];
  if (persona !== undefined) return `${persona} (${zone ?? ''})`;
  return block.name.split(':')[0] ?? '';
}

/** How many lines both have. */
function common(one: Block, other: Block): number {
  const lines = new Set(other.lines);
  return one.lines.filter((line) => lines.has(line)).length;
}

function blocks(text: string): Block[] {
  const found = new Map<string, Block>();
  for (const block of text.replaceAll('\r\n', '\n').trim().split(/\n\n+/)) {
    const [name = '', ...lines] = block.split('\n').map((line) => line.trimEnd());
    const known = found.get(name);
    found.set(name, { name, lines: [...(known?.lines ?? []), ...lines] });
  }
  return [...found.values()];
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
