import { DomainError } from '../../values/domain-error.js';
import { type FieldProblem, fieldProblems, type SchemaIssue } from '../../infra/http/field-problems.js';

/** What is wrong with one field of a form. `name` is the field's, empty for what is about the form as a whole. */
export interface FormProblem {
  name: string;
  label: string;
  message: string;
}

/** What a schema refused, with the labels that the form has; `form` where no field is named. */
export function schemaProblems(
  issues: readonly SchemaIssue[],
  labels: Readonly<Record<string, string>>,
): FormProblem[] {
  return fieldProblems(issues, '').map((problem) => problemAt(problem, labels));
}

/**
 * A refusal by a rule of the product, at its field where it names one: `key: there is …` stands at the field for the key.
 * Throws whatever else is thrown.
 */
export function refusalOf(error: unknown, labels: Readonly<Record<string, string>>): FormProblem[] {
  if (!(error instanceof DomainError)) throw error;
  const { errors, field } = error.facts;
  if (Array.isArray(errors)) return (errors as FieldProblem[]).map((one) => problemAt(one, labels));
  const name = typeof field === 'string' ? field : '';
  return [problemAt({ field: name, message: error.message }, labels)];
}

function problemAt({ field, message }: FieldProblem, labels: Readonly<Record<string, string>>): FormProblem {
  const name = Object.keys(labels).find((one) => field === one || field.startsWith(`${one}.`)) ?? '';
  const own = message.replace(/^[\w.]+: /, '');
  return { name, label: labels[name] ?? '', message: own };
}

/** The first message for each field. */
export function messagesOf(problems: readonly FormProblem[]): Record<string, string> {
  const messages: Record<string, string> = {};
  for (const { name, message } of problems) messages[name] ??= message;
  return messages;
}
