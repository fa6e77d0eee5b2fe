import { stringify } from 'yaml';
import { funnelSchema, type FunnelDefinition } from './funnel.schemas.js';
import type { DefinitionProblem, RuleName } from './lint/rules.js';
import { KIND_OPTIONS } from './step.schemas.js';
import { readYamlFile, type YamlFile } from './yaml-file.js';

export type FunnelFile = YamlFile<FunnelDefinition>;

/** Reads one funnel from YAML (or JSON, which is YAML). Collects every problem instead of stopping at the first. */
export function readFunnelFile(text: string): FunnelFile {
  return readYamlFile(text, {
    schema: funnelSchema,
    name: 'a funnel file',
    example: 'funnel: my-funnel',
    kinds: KIND_OPTIONS,
    ruleOf: ruleAt,
  });
}

/** The file that describes the definition. Keys stand in the order of the schema, so equal funnels give equal bytes. */
export function writeFunnelFile(definition: object): string {
  return stringify(definition, { lineWidth: 110 });
}

/** Two things whose absence costs more than a wrong file have rules of their own. */
function ruleAt({ rule, path }: DefinitionProblem): RuleName {
  const [part, name, field] = path;
  if (part === 'form' && name === 'consent') return 'missing-consent';
  return rule === 'missing-value' && part === 'products' && field === 'price' ? 'offer-without-price' : rule;
}
