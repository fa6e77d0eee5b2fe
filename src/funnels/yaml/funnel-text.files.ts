import { readFile } from 'node:fs/promises';
import { DomainError } from '../../values/domain-error.js';

/** Throws `FUNNEL_FILE_NOT_FOUND`, and `FUNNEL_FILE_INVALID` for what is not UTF-8. */
export async function readFunnelText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new DomainError('FUNNEL_FILE_NOT_FOUND', `${path} cannot be read`, { path }, { cause });
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DomainError('FUNNEL_FILE_INVALID', `${path}:1: save the file as UTF-8`, { path }, { cause });
  }
}
