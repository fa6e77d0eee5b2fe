import { z } from 'zod';
import { funnelSchema } from './funnel.schemas.js';
import { optionText } from './option-texts.js';
import type { Json, JsonObject } from '../../values/json-object.js';

/** Objects of these options are written by rules of their own. */
const CONDITIONS = new Set(['if', 'all', 'any', 'not', 'enterOn', 'exitOn', 'goal']);

/**
 * The funnel file as JSON Schema draft 7, which editors read: made from the schemas that files are checked with, with a
 * sentence for each option. What stands between objects (an offer names its product) is said by the linter only.
 */
export function funnelJsonSchema(): JsonObject {
  const written = z.toJSONSchema(funnelSchema, {
    io: 'input',
    target: 'draft-07',
    reused: 'inline',
  }) as JsonObject;
  const { $schema, definitions, ...root } = written;
  const named = new Map(
    Object.entries(objectOf(definitions)).map(([name, definition]) => [name, nameOf(definition)]),
  );
  const parts = Object.entries(objectOf(definitions)).map(([name, definition]): [string, Json] => {
    const known = named.get(name) ?? name;
    return [known, described(definition, known, named)];
  });
  return {
    ...($schema === undefined ? {} : { $schema }),
    title: 'Wellspring funnel',
    description:
      'A funnel as code: form, sequence, products, offers and affiliates. Applied with "wellspring apply FILE".',
    ...objectOf(described(root, 'funnel', named)),
    definitions: Object.fromEntries(parts),
  };
}

/** Zod numbers what is used by itself; the two there are have names here. */
function nameOf(definition: Json): string {
  const alternatives = objectOf(definition)['anyOf'];
  const isCondition =
    Array.isArray(alternatives) &&
    alternatives.some((one) => 'clicked' in objectOf(objectOf(one)['properties']));
  return isCondition ? 'condition' : 'step';
}

function described(schema: Json, context: string, names: ReadonlyMap<string, string>): Json {
  if (Array.isArray(schema)) return schema.map((one) => described(one, context, names));
  if (!isObject(schema)) return schema;
  const entries = Object.entries(schema).map(([key, value]): [string, Json] => {
    if (key === '$ref' && typeof value === 'string') {
      const name = value.slice('#/definitions/'.length);
      return [key, `#/definitions/${names.get(name) ?? name}`];
    }
    return key === 'properties'
      ? [key, describedProperties(objectOf(value), context, names)]
      : [key, described(value, context, names)];
  });
  return Object.fromEntries(entries);
}

function describedProperties(
  properties: JsonObject,
  context: string,
  names: ReadonlyMap<string, string>,
): JsonObject {
  const entries = Object.entries(properties).map(([name, property]): [string, Json] => {
    const inside = CONDITIONS.has(name) ? 'condition' : name;
    const written = objectOf(described(property, inside, names));
    const description = optionText(context, name);
    // Draft 7 ignores what stands beside a $ref.
    const own = '$ref' in written ? { allOf: [written] } : written;
    return [name, description === null ? own : { description, ...own }];
  });
  return Object.fromEntries(entries);
}

function objectOf(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
