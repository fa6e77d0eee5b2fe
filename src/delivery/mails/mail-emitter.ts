import { Octets } from './octets.js';

/** Fifty times what Gmail shows: only a loop that went wrong writes more, and it must not fill the memory. */
const MAX_CHARS = 5_000_000;

/** A fixed text of a template: as people read it, and as it crosses the wire. */
export interface FixedText {
  text: string;
  encoded: Buffer;
}

/** Where a mail is written piece by piece. `T` is what comes out at the end. */
export interface MailEmitter<T = unknown> {
  /** A value as Liquid has it, or one of the template's fixed texts, as Liquid writes them. */
  write(value: unknown): void;
  /** Text of ours that stands for a value. */
  writeText(text: string): void;
  writeFixed(fixed: FixedText): void;
  /** Of no use to us; Liquid's own emitters have it. */
  readonly buffer: string;
  /** Which of the watched texts have been written as values. */
  readonly seen: ReadonlySet<string>;
  /** To be called once, at the end. */
  end(): T;
}

/** Notes which of a few texts are written. */
class Watch {
  readonly seen = new Set<string>();
  /** Most values are words, shorter than anything that is watched for. */
  readonly #shortest: number;

  constructor(private readonly watched: readonly string[]) {
    this.#shortest = Math.min(...watched.map(({ length }) => length));
  }

  look(text: string): void {
    if (text.length < this.#shortest) return;
    for (const wanted of this.watched)
      if (!this.seen.has(wanted) && text.includes(wanted)) this.seen.add(wanted);
  }
}

/** Keeps the text as it is: for previews and checks. */
export class PlainEmitter extends Watch implements MailEmitter<string> {
  readonly buffer = '';
  #text = '';

  constructor(watched: readonly string[] = []) {
    super(watched);
  }

  write(value: unknown): void {
    this.writeText(textOf(value));
  }

  writeText(text: string): void {
    this.look(text);
    this.#text += text;
    checkLength(this.#text.length);
  }

  writeFixed({ text }: FixedText): void {
    this.#text += text;
    checkLength(this.#text.length);
  }

  end(): string {
    return this.#text;
  }
}

/**
 * Writes quoted-printable octets. Fixed texts come encoded, by themselves or through `memo` where Liquid writes them, so
 * that a recipient costs only what is theirs.
 */
export class EncodedEmitter extends Watch implements MailEmitter<Buffer> {
  readonly buffer = '';
  readonly #from: number;

  constructor(
    private readonly memo: ReadonlyMap<string, FixedText>,
    watched: readonly string[] = [],
    private readonly octets: Octets = new Octets(),
  ) {
    super(watched);
    this.#from = octets.length;
  }

  write(value: unknown): void {
    const text = textOf(value);
    const fixed = this.memo.get(text);
    if (fixed) this.writeFixed(fixed);
    else this.writeText(text);
  }

  writeText(text: string): void {
    if (text === '') return;
    this.look(text);
    checkLength(this.octets.length + text.length);
    this.octets.putQuotedPrintable(text);
  }

  writeFixed({ encoded }: FixedText): void {
    checkLength(this.octets.length + encoded.length);
    this.octets.put(encoded);
  }

  /** Good until more is written into the same octets. */
  end(): Buffer {
    return this.octets.since(this.#from);
  }
}

function checkLength(length: number): void {
  if (length > MAX_CHARS) throw new Error(`a part of the mail is larger than ${MAX_CHARS} characters`);
}

/** As Liquid writes values: nothing for null, lists without separators. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(textOf).join('');
  // eslint-disable-next-line typescript/no-base-to-string
  return String(value);
}
