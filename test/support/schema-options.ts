/** Every option that a JSON Schema knows, as `object/option`, with what the schema says of it. */
export function optionsIn(
  part: unknown,
  into: Map<string, unknown> = new Map(),
  place = '',
): Map<string, unknown> {
  if (Array.isArray(part)) for (const one of part) optionsIn(one, into, place);
  else if (typeof part === 'object' && part !== null)
    for (const [key, value] of Object.entries(part)) {
      if (key !== 'properties') optionsIn(value, into, place === '' ? key : place);
      else
        for (const [name, property] of Object.entries(value as Record<string, unknown>)) {
          into.set(`${place}/${name}`, property);
          optionsIn(property, into, name);
        }
    }
  return into;
}
