/** What the library expects, in words for the file. */
const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list, [] for none',
  object: 'options by name',
  record: 'values by name',
  null: 'nothing',
};

interface TypeIssue {
  code: string;
  message: string;
  expected?: string;
}

/** What an option takes, where its schema does not say so itself; null where it does. */
export function kindWanted({ code, message, expected = '' }: TypeIssue): string | null {
  const isOwn = code !== 'invalid_type' || !message.startsWith('Invalid input');
  return isOwn ? null : (KINDS[expected] ?? null);
}

/** Why a value of another kind is not taken. */
export function kindRefused(wanted: string, given: unknown): string {
  if (given === null) return `has no value; it takes ${wanted}`;
  if (wanted !== KINDS['string']) return `takes ${wanted}`;
  if (typeof given === 'number') return 'is read as a number; put it in quotes to make it a text';
  if (typeof given === 'boolean') return `is read as ${given}; put it in quotes to make it a text`;
  return `takes ${wanted}`;
}
