import { expect } from 'vitest';
import { readFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { lintDefinition } from '../../../src/funnels/lint/lint.js';
import { sequenceDefinition } from '../../../src/funnels/publish/sequence-definition.js';
import type { SequenceDefinition, SplitNode } from '../../../src/sequences/steps/definition.js';

/** Funnels with split tests of paths, as short texts. */

export const file = (steps: string, sequence = 'priority: 5'): string => `funnel: course
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: course, headline: Get it, consent: Send it to me }
sequence:
  ${sequence}
  steps:
${steps
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
products:
  - { key: kit, name: Kit, price: 49.00 EUR, delivers: [files/kit.zip] }
offers:
  - { key: kit, product: kit }
`;
export const read = (text: string) => {
  const found = readFunnelFile(text);
  if (!found.ok) throw new Error(JSON.stringify(found.problems));
  return found;
};
/** Line, place and words of all that is wrong. */
export const wrong = (text: string): string[] => {
  const found = readFunnelFile(text);
  if (!found.ok) return found.problems.map(({ line, field, message }) => `${line} ${field}: ${message}`);
  return lintDefinition(found.definition, { now: new Date('2026-01-01'), others: [] }).map(
    ({ path, message }) => `${found.lineOf(path)} ${path.join('.')}: ${message}`,
  );
};
export const compiled = (steps: string, sequence?: string): SequenceDefinition => {
  expect(wrong(file(steps, sequence))).toEqual([]);
  return sequenceDefinition(read(file(steps, sequence)).definition, {
    templateId: (key) => key,
    offer: () => undefined,
  });
};
export const splitIn = (steps: string, sequence?: string): SplitNode => {
  const node = compiled(steps, sequence).nodes.find(({ kind }) => kind === 'split');
  if (node?.kind !== 'split') throw new Error('no split was compiled');
  return node;
};
export const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
export const arm = (key: string, ...steps: string[]): string =>
  `{ key: ${key}, steps: [${steps.join(', ')}] }`;
export const split = (arms: string[], more = 'judge: revenue', key = 'fork'): string =>
  `- { key: ${key}, split: { ${more}, arms: [${arms.join(', ')}] } }`;
export const TWO = [
  arm('short', mail('s1')),
  arm('long', mail('l1', ', delay: 2 days'), mail('l2', ', delay: 1 day')),
];
