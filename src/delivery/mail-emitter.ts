import { quotedPrintable } from './quoted-printable.js';

/** Fifty times what Gmail shows: only a loop that went wrong writes more, and it must not fill the memory. */
const MAX_CHARS = 5_000_000;

/** Where Liquid writes a mail piece by piece. */
export interface MailEmitter {
  write(value: unknown): void;
  buffer: string;
  /** Which of `watched` texts have been written. */
  readonly seen: Set<string>;
}

/** Keeps the text as it is: for previews and checks. */
export function plainEmitter(watched: readonly string[] = []): MailEmitter {
  return emitter((text) => text, watched);
}

/**
 * Writes quoted-printable. `memo` holds the encoding of the template's fixed texts, so that a recipient costs only what
 * is theirs.
 */
export function encodedEmitter(
  memo: ReadonlyMap<string, string>,
  watched: readonly string[] = [],
): MailEmitter {
  return emitter((text) => memo.get(text) ?? quotedPrintable(text), watched);
}

function emitter(encode: (text: string) => string, watched: readonly string[]): MailEmitter {
  const seen = new Set<string>();
  return {
    buffer: '',
    seen,
    write(value: unknown): void {
      const text = textOf(value);
      if (text === '') return;
      for (const wanted of watched) if (!seen.has(wanted) && text.includes(wanted)) seen.add(wanted);
      this.buffer += encode(text);
      if (this.buffer.length > MAX_CHARS)
        throw new Error(`a part of the mail is larger than ${MAX_CHARS} characters`);
    },
  };
}

/** As Liquid writes values: nothing for null, lists without separators. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(textOf).join('');
  // eslint-disable-next-line typescript/no-base-to-string
  return String(value);
}
