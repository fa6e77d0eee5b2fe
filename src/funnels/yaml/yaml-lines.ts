import { isAlias, isCollection, isMap, isNode, isScalar, isSeq, type Document, type LineCounter } from 'yaml';

/**
 * Where the path stands: at its value, or at its name when the value is a block below it. What is not there is reported where
 * it belongs; null for a text of nothing.
 */
export function lineOfPath(
  document: Document,
  lines: LineCounter,
  path: readonly PropertyKey[],
): number | null {
  const lineOf = (node: unknown): number | null =>
    isNode(node) && node.range ? lines.linePos(node.range[0]).line : null;
  let node: unknown = document.contents;
  let line = lineOf(node);
  for (const name of path) {
    const within = isAlias(node) ? node.resolve(document) : node;
    // What an alias stands for is written elsewhere; its problem is told where it is used.
    const isElsewhere = isAlias(node);
    const found = partOf(within, name);
    if (found === null) return line;
    node = found.value;
    const at = isCollection(node) && node.flow !== true && found.key !== null ? found.key : node;
    if (!isElsewhere) line = lineOf(at) ?? lineOf(found.key) ?? line;
  }
  return line;
}

function partOf(node: unknown, name: PropertyKey): { key: unknown; value: unknown } | null {
  if (isSeq(node)) {
    const value = node.items[Number(name)];
    return value === undefined ? null : { key: null, value };
  }
  if (!isMap(node)) return null;
  // Names are texts to whoever reads the file, whatever YAML takes them for: `5`, `true`, nothing.
  const pair = node.items.find(({ key }) => isScalar(key) && textOf(key.value) === String(name));
  return pair === undefined ? null : { key: pair.key, value: pair.value };
}

function textOf(name: unknown): string {
  if (typeof name === 'string') return name;
  return name === null ? '' : JSON.stringify(name);
}
