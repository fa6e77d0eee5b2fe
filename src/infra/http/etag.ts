import { createHash } from 'node:crypto';
import { DomainError } from '../../values/domain-error.js';

const HASH_CHARS = 22;

/** Looks at what is there, with its row locked. Throws `PRECONDITION_FAILED` when it is not what the caller has seen. */
export type Unchanged<T> = (current: T) => void;

/** Of an answer, what writes change: the rest is counted, and moves by itself. */
export type Written = (answer: never) => unknown;

/**
 * The strong tag of an answer (RFC 9110 §8.8.3): its hash, with that of what writes change before it where that is less than
 * the whole. So it differs whenever the answer does, and `If-Match` asks for no more than that nobody has written.
 */
export function etagOf(answer: unknown, written: Written): string {
  const [ofWritten, ofAll] = [hashOf((written as (all: unknown) => unknown)(answer)), hashOf(answer)];
  return ofWritten === ofAll ? `"${ofAll}"` : `"${ofWritten}.${ofAll}"`;
}

/** Whether the client has this answer already (RFC 9110 §13.1.2). */
export function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  return tagsOf(ifNoneMatch).some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag);
}

/**
 * What a write with `If-Match` has to pass (RFC 9110 §13.1.1) in its own transaction; undefined without that header.
 * `writtenOf`: of what is there, what `Written` tells of the answer with it.
 */
export function unchangedSince<T>(
  ifMatch: string | undefined,
  writtenOf: (current: T) => unknown,
): Unchanged<T> | undefined {
  if (ifMatch === undefined) return undefined;
  const tags = tagsOf(ifMatch);
  return (current) => {
    const now = hashOf(writtenOf(current));
    if (!tags.some((tag) => tag === '*' || /^"([^".]*)/.exec(tag)?.[1] === now)) throw changedMeanwhile();
  };
}

export function changedMeanwhile(): DomainError {
  return new DomainError(
    'PRECONDITION_FAILED',
    'If-Match: it was changed meanwhile; read it once more, and change that',
    { field: 'If-Match' },
  );
}

function tagsOf(header: string | undefined): string[] {
  return (header ?? '').split(',').map((tag) => tag.trim());
}

function hashOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(value) ?? '')
    .digest('base64url')
    .slice(0, HASH_CHARS);
}
