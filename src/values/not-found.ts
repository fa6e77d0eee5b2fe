import { DomainError } from './domain-error.js';

/**
 * What everybody is told who asks for something that is not there: `notFound('bulk enrollment', '7')` has the code
 * `BULK_ENROLLMENT_NOT_FOUND`, says "There is no bulk enrollment with the id 7", and has the id among its facts.
 *
 * @param by what it was asked for by
 */
export function notFound(
  what: string,
  value: string,
  by: 'id' | 'key' | 'slug' | 'address' = 'id',
): DomainError {
  const code = `${what.toUpperCase().replaceAll(' ', '_')}_NOT_FOUND`;
  return new DomainError(code, `There is no ${what} with the ${by} ${value}`, { [by]: value });
}
