import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv, type ErrorObject } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { funnelJsonSchema } from '../../../src/funnels/schemas/funnel-json-schema.js';
import { EVERY_KEY, OTHER_FUNNEL } from '../../support/every-key.js';
import { optionsIn } from '../../support/schema-options.js';

const FUNNELS = new URL('../../../config/funnels/', import.meta.url).pathname;
const schema = funnelJsonSchema();
const validate = new Ajv({
  allErrors: true,
  strict: true,
  strictTypes: false,
  strictRequired: false,
  formats: { uri: true },
}).compile(schema);
const problems = (yaml: string): ErrorObject[] => (validate(parse(yaml)) ? [] : (validate.errors ?? []));

function namesIn(value: unknown, into: Set<string> = new Set()): Set<string> {
  if (Array.isArray(value)) for (const one of value) namesIn(one, into);
  else if (typeof value === 'object' && value !== null)
    for (const [name, inner] of Object.entries(value)) {
      into.add(name);
      namesIn(inner, into);
    }
  return into;
}

describe('the JSON Schema of a funnel file', () => {
  it('takes every funnel there is', async () => {
    const demo = (await readdir(FUNNELS)).filter((name) => name.endsWith('.yaml'));
    expect(demo).not.toEqual([]);
    for (const name of demo) expect(problems(await readFile(join(FUNNELS, name), 'utf8'))).toEqual([]);
    expect(problems(EVERY_KEY)).toEqual([]);
    expect(problems(OTHER_FUNNEL)).toEqual([]);
  });

  it('has a sentence for each option, and the funnel of every option uses each', () => {
    const options = [...optionsIn(schema)];
    const silent = options.filter(([, property]) => !(property as { description?: string }).description);
    expect(silent.map(([place]) => place)).toEqual([]);
    const used = namesIn(parse(EVERY_KEY));
    expect(options.map(([place]) => place.split('/').at(-1)).filter((name) => !used.has(name ?? ''))).toEqual(
      [],
    );
  });

  it.each<[string, (text: string) => string]>([
    ['an unknown option', (text) => text.replace('priority: 3', 'priority: 3\n  colour: red')],
    ['a missing consent', (text) => text.replace(/ {2}consent: .*\n/, '')],
    ['a missing price', (text) => text.replace('price: 19.00 EUR', 'description: none')],
    ['a price without currency', (text) => text.replace('19.00 EUR', '"19.00"')],
    ['a discount without percent', (text) => text.replace('12.5%', '"12.5"')],
    ['a delay nobody can read', (text) => text.replace('delay: 2 days', 'delay: soon')],
    ['a date nobody can read', (text) => text.replace('expires: 2099-12-31', 'expires: tomorrow')],
    ['a time of day that is none', (text) => text.replace('at: "09:30"', 'at: "25:00"')],
    ['a weekday that is none', (text) => text.replace('onDays: [tue, thu]', 'onDays: [tuesday]')],
    ['a step of no kind', (text) => text.replace('webhook:', 'teleport:')],
    ['a step of two kinds', (text) => text.replace('untag: a,', 'untag: a, end: true,')],
    ['a condition of no kind', (text) => text.replace('if: { opened: story', 'if: { smelled: story')],
    [
      'a condition deep inside',
      (text) => text.replace('{ purchased: kit-two }] }', '{ bought: kit-two }] }'),
    ],
    ['a priority out of range', (text) => text.replace('priority: 3', 'priority: 10')],
    ['a file outside', (text) => text.replace('leadMagnet: files/every.zip', 'leadMagnet: ../every.zip')],
  ])('refuses %s, as the funnel file itself does', (_, damage) => {
    const damaged = damage(EVERY_KEY);
    expect(damaged).not.toBe(EVERY_KEY);
    expect(problems(damaged)).not.toEqual([]);
    expect(readFunnelFile(damaged).ok).toBe(false);
  });
});
