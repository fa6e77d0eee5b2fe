import { Document, Pair, parse, Scalar, YAMLMap } from 'yaml';
import type { Texts } from '../../values/template-texts.js';
import { funnelSchema, type FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem, RuleName } from '../lint/rules.js';
import { KIND_OPTIONS } from '../schemas/step.schemas.js';
import { readYamlFile, type YamlFile } from './yaml-file.js';

export type FunnelFile = YamlFile<FunnelDefinition>;

/** Its people are in versions of it, and what was said of it elsewhere is said by this key. */
const SEQUENCES_STAY =
  'a sequence has the key of its funnel and stays with it, while forms, products and offers move; to take its people to the sequence of another funnel, end it with a step such as { key: on, move: other-funnel }';

/**
 * Reads one funnel from YAML (or JSON, which is YAML). Collects every problem instead of stopping at the first. `before`: lines
 * of the file that stand before it.
 */
export function readFunnelFile(text: string, before = 0): FunnelFile {
  const file = readYamlFile(text, {
    schema: funnelSchema,
    name: 'a funnel file',
    example: 'funnel: my-funnel',
    kinds: KIND_OPTIONS,
    ruleOf: ruleAt,
  });
  const further = (line: number | null): number | null => (line === null ? null : line + before);
  if (file.ok) return { ...file, lineOf: (path) => further(file.lineOf(path)) };
  const problems = file.problems.map((one) => ({
    ...one,
    line: further(one.line),
    ...(one.field === 'sequence.key' ? { message: SEQUENCES_STAY } : {}),
  }));
  return { ok: false, problems };
}

/** The file that describes the definition. Keys stand in the order of the schema, so equal funnels give equal bytes. */
export function writeFunnelFile(definition: object, texts?: Texts): string {
  const document = new Document(definition);
  if (texts !== undefined) {
    const templates = new YAMLMap();
    for (const [path, text] of Object.entries(texts)) templates.add(new Pair(path, textNode(text)));
    document.add(new Pair('templates', templates));
  }
  return document.toString({ lineWidth: 110 });
}

/** As a block where that gives every character back; carriage returns, for one, it would lose. */
function textNode(text: string): Scalar {
  const node = new Scalar(text);
  node.type = 'BLOCK_LITERAL';
  const document = new Document({});
  document.add(new Pair('text', node));
  const read: unknown = parse(document.toString());
  if ((read as { text: unknown }).text !== text) node.type = 'QUOTE_DOUBLE';
  return node;
}

/** Two things whose absence costs more than a wrong file have rules of their own. */
function ruleAt({ rule, path }: DefinitionProblem): RuleName {
  const [part, name, field] = path;
  if (part === 'form' && name === 'consent') return 'missing-consent';
  return rule === 'missing-value' && part === 'products' && field === 'price' ? 'offer-without-price' : rule;
}
