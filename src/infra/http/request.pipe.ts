import { type ArgumentMetadata, Injectable, type PipeTransform } from '@nestjs/common';
import { type FieldProblem, fieldProblems } from './field-problems.js';
import { halfCharacterIn } from './half-characters.js';

/** A body, query or parameter did not match its schema; answered as 422 `REQUEST_INVALID` naming every field. */
export class RequestInvalidError extends Error {
  override readonly name = 'RequestInvalidError';

  constructor(readonly problems: FieldProblem[]) {
    super('The request does not match its schema');
  }
}

/**
 * Checks every parameter that was declared with a schema (`@Body({ schema })`) and hands on what the schema made of it.
 * Nest's own pipe would do, but its error factory learns neither the schema nor which parameter it was, and both are
 * needed to name what is allowed.
 */
@Injectable()
export class RequestPipe implements PipeTransform {
  async transform(value: unknown, { schema, type, data }: ArgumentMetadata): Promise<unknown> {
    if (!schema) return value;
    // An empty body stands for "no fields", so that the answer names the fields that are missing.
    const given = type === 'body' && (value === undefined || value === null) ? {} : value;
    const result = await schema['~standard'].validate(given);
    if (result.issues) throw new RequestInvalidError(fieldProblems(result.issues, data ?? type, schema));
    const half = type === 'body' ? halfCharacterIn(given) : null;
    if (half !== null)
      throw new RequestInvalidError([{ field: half || type, message: 'a text holds half of a character' }]);
    return result.value;
  }
}
