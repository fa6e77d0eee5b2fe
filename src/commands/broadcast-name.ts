import { InvalidArgumentError } from 'commander';

/** What a command is about: a broadcast by its number, or something else by its own name. */
export type Named = { broadcast: string } | { name: string };

export const SUCH_AS = 'such as broadcast:7';

export function nameOfBroadcast(id: string): string {
  return `broadcast:${id}`;
}

/** Where a broadcast may be named and other things, too, which are looked for by their names. */
export function readNamed(text: string): Named {
  return text.startsWith('broadcast:') ? { broadcast: readBroadcast(text) } : { name: text };
}

/** Where nothing but a broadcast may be named: its number will do. */
export function readBroadcast(text: string): string {
  const id = /^(?:broadcast:)?(\d{1,18})$/.exec(text)?.[1];
  if (id === undefined) throw new InvalidArgumentError(`a broadcast is named by its number, ${SUCH_AS}`);
  return String(BigInt(id));
}
