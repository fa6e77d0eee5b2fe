/**
 * A rule of the product was broken by what the caller asked for. Mapped to an HTTP answer or an exit code in one
 * place; anything else that is thrown is a bug.
 *
 * `code` is stable and upper snake, `MODULE_REASON`; clients branch on it. `message` is for people: it names the field
 * and what is allowed. `facts` are the values behind it, safe to show (no secrets, no addresses).
 */
export class DomainError extends Error {
  override readonly name = 'DomainError';

  constructor(
    readonly code: string,
    message: string,
    readonly facts: Record<string, unknown> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
