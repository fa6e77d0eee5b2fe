import { DomainError } from '../../values/domain-error.js';
import type { DraftReader } from './draft-reader.js';

/** Why a mail cannot go to a reader as it is. */
export interface ReaderFault {
  /** Holds nothing that the reader has typed. */
  reason: string;
}

export const LINK_FAULT: ReaderFault = { reason: 'a link in it leads to no address that can be opened' };

/** A word, an address of a page, and nothing: most places of a mail can do with one of them. */
const HARMLESS = ['x', 'https://example.com/', undefined];

/** What filling in threw, in words without the reader's values, which an error of the language may quote. */
export function faultOfError(error: unknown, { email, name, fields }: DraftReader): ReaderFault {
  if (error instanceof DomainError) return { reason: error.message };
  const { message, token } = error as Error & { token?: { getText?: () => string } };
  const reason = message.split('\n')[0]?.replace(/, line:\d+, col:\d+/, '') ?? '';
  const tag = token?.getText?.();
  const typed = [email, name, ...Object.values(fields)];
  const quotes = typed.some(
    (value) =>
      (typeof value === 'string' || typeof value === 'number') &&
      value !== '' &&
      reason.includes(String(value)),
  );
  return {
    reason: `${tag === undefined ? 'it' : tag} cannot be filled in${quotes ? '' : `: ${reason}`}`,
  };
}

/** The first of the variables with which, had it a harmless value, nothing would be wrong; null when none is to blame alone. */
export async function culpritOf<R extends DraftReader>(
  reader: R,
  variables: readonly string[],
  faultOf: (reader: R) => Promise<ReaderFault | null>,
): Promise<string | null> {
  for (const variable of variables)
    for (const value of HARMLESS)
      if ((await faultOf(withValue(reader, variable, value))) === null) return variable;
  return null;
}

/** With nothing of their own that could break a link. */
export function withoutValues<R extends DraftReader>(reader: R, variables: readonly string[]): R {
  return variables.reduce((changed, name) => withValue(changed, name, 'https://example.com/'), reader);
}

function withValue<R extends DraftReader>(reader: R, variable: string, value: string | undefined): R {
  const [, head = '', field] = variable.split(/[.[]/);
  if (head === 'email') return { ...reader, email: 'reader@example.com' };
  if (head !== 'fields') return { ...reader, name: value ?? null };
  return { ...reader, fields: field === undefined ? {} : { ...reader.fields, [field]: value } };
}
