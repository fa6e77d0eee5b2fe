import { fieldTypeConflict, type FieldDefinition } from '../../subscribers/field.js';
import { fieldDefinitionsOf, type OwnFields } from '../schemas/field.schemas.js';
import type { PlannedChange } from './funnel-diff.js';

/** What a funnel makes of the own fields it brings. */
export interface FieldChanges {
  changes: PlannedChange[];
  /** As they shall be; one that is there keeps its label where the file gives none. */
  wanted: FieldDefinition[];
}

/** `defined`: as the fields are now. `left`: whose labels stay. Choices are only added, since people may have the others. Throws `FIELD_TYPE_CONFLICT`. */
export function fieldChangesOf(
  fields: OwnFields | undefined,
  defined: ReadonlyMap<string, FieldDefinition>,
  left: ReadonlySet<PropertyKey | undefined>,
): FieldChanges {
  const changes: PlannedChange[] = [];
  const wanted = fieldDefinitionsOf(fields).map((field) => {
    const there = defined.get(field.key);
    const object = `field ${field.key}`;
    if (there === undefined) {
      changes.push({ sign: '+', object, detail: field.type });
      return field;
    }
    if (there.type !== field.type) throw fieldTypeConflict(there);
    const label = hasLabel(fields?.[field.key]) && !left.has(field.key) ? field.label : there.label;
    if (label !== there.label) changes.push({ sign: '~', object, detail: `label ${there.label} → ${label}` });
    // As `defineFields`: of those that differ by their case alone the first stays.
    const known = new Set(there.choices.map((choice) => choice.toLowerCase()));
    const added = field.choices.filter((choice) => !known.has(choice.toLowerCase()));
    if (added.length > 0) changes.push({ sign: '~', object, detail: `choices more: ${added.join(', ')}` });
    return { ...field, label };
  });
  return { changes, wanted };
}

function hasLabel(given: OwnFields[string] | undefined): boolean {
  return typeof given === 'object' && given.label !== undefined;
}
