import { z } from 'zod';
import { COLUMN_KEYS, FIELD_TYPES, type FieldDefinition } from '../../subscribers/field.js';
import { strict } from '../../values/option-parts.js';
import { fieldName, line } from './schema-parts.js';

const SHORT_TYPES = FIELD_TYPES.filter((type) => type !== 'choice');
const TYPES = `use ${SHORT_TYPES.join(', ')}, or { type: choice, choices: [small, large] }`;

const choices = z
  .array(line(100))
  .min(1, 'name at least one')
  .max(200, 'name at most 200')
  .refine((all) => new Set(all.map((one) => one.toLowerCase())).size === all.length, 'name each choice once');

const ownField = z.union([
  z.enum(SHORT_TYPES, { error: TYPES }),
  strict({
    type: z.enum(FIELD_TYPES, { error: `use ${FIELD_TYPES.join(', ')}` }),
    label: line(100).optional(),
    choices: choices.optional(),
  }).refine(({ type, choices: named }) => (type === 'choice') === (named !== undefined), {
    path: ['choices'],
    error: 'name the choices of a field of type choice, and of no other',
  }),
]);

const ownName = fieldName.refine(
  (key) => !COLUMN_KEYS.some((column) => column === key),
  `every subscriber has ${COLUMN_KEYS.join(', ')} already`,
);

/** Own fields of subscribers, by their key: `country: text`. */
export const ownFields = z.record(ownName, ownField);
export type OwnFields = z.infer<typeof ownFields>;

export function fieldDefinitionsOf(fields: OwnFields | undefined): FieldDefinition[] {
  return Object.entries(fields ?? {}).map(([key, given]) => {
    const { type, label = key, choices: named = [] } = typeof given === 'string' ? { type: given } : given;
    return { key, label, type, choices: named };
  });
}

/** As a file says it, as short as it can be said. */
export function ownFieldOf({ key, label, type, choices: named }: FieldDefinition): OwnFields[string] {
  if (type !== 'choice' && label === key) return type;
  return { type, ...(label === key ? {} : { label }), ...(type === 'choice' ? { choices: named } : {}) };
}
