import { checkFieldValue, type FieldDefinition, readFieldText } from '../subscribers/field.js';
import type { SubscriberFields } from '../subscribers/subscriber.js';

/** A field that a form asks for, as its funnel says it. */
export interface AskedField {
  field: string;
  /** In place of the field's own label. */
  label?: string | undefined;
  required: boolean;
}

/** With its type and choices as they are now. */
export interface FormField extends FieldDefinition {
  required: boolean;
}

/** What is typed into each field, by its key. */
export type Answers = Readonly<Record<string, string>>;

/** Far above what any field takes; the rest is not looked at. */
const MAX_READ = 2_000;
const PREFIX = 'fields.';

/** In the order of the form. A field that is no longer there is not asked. */
export function formFields(
  asked: readonly AskedField[],
  definitions: ReadonlyMap<string, FieldDefinition>,
): FormField[] {
  return asked.flatMap(({ field, label, required }) => {
    const definition = definitions.get(field);
    return definition ? [{ ...definition, label: label ?? definition.label, required }] : [];
  });
}

/**
 * What a form has sent: `fields.KEY` as pages send it, or `fields: { KEY: value }` as scripts do. Of one that came twice
 * the last counts: a tick comes after the "no" that stands for its absence.
 */
export function answersIn(typed: Readonly<Record<string, unknown>>): Answers {
  const answers: Record<string, string> = {};
  for (const [name, given] of Object.entries(typed))
    if (name.startsWith(PREFIX)) answers[name.slice(PREFIX.length)] = textOf(given);
  const { fields } = typed;
  if (typeof fields === 'object' && fields !== null)
    for (const [key, given] of Object.entries(fields)) answers[key] = textOf(given);
  return answers;
}

/** The values that fit their fields; of each other one what is wrong, by its key. What is left empty is no answer. */
export function checkAnswers(
  fields: readonly FormField[],
  answers: Answers,
): { values: SubscriberFields; errors: Record<string, string> } {
  const values: SubscriberFields = {};
  const errors: Record<string, string> = {};
  for (const field of fields) {
    const given = Object.hasOwn(answers, field.key) ? (answers[field.key] ?? '') : '';
    if (given.trim() === '') {
      if (field.required) errors[field.key] = about(field, 'please fill this in.');
      continue;
    }
    const read = readFieldText(field, given.trim());
    if (!read.ok) errors[field.key] = about(field, `please use ${read.allowed}.`);
    else if (field.required && read.value === false) errors[field.key] = about(field, 'please tick this.');
    else values[field.key] = read.value;
  }
  return { values, errors };
}

/** Of answers that have waited, those that the form still asks for and that still fit. */
export function answersThatHold(fields: readonly FormField[], answers: SubscriberFields): SubscriberFields {
  return Object.fromEntries(
    Object.entries(answers).filter(([key, value]) => {
      const field = fields.find((one) => one.key === key);
      return field !== undefined && checkFieldValue(field, value).ok;
    }),
  );
}

/** Read in a list, away from its input, too. A label may be a question. */
function about({ label }: FormField, words: string): string {
  return /[.!?]$/.test(label) ? `${label} P${words.slice(1)}` : `${label}: ${words}`;
}

function textOf(given: unknown): string {
  const last: unknown = Array.isArray(given) ? given.at(-1) : given;
  if (typeof last === 'string') return last.slice(0, MAX_READ);
  return typeof last === 'number' || typeof last === 'boolean' ? String(last) : '';
}
