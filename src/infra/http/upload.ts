import { DomainError } from '../../values/domain-error.js';

interface Upload {
  /** As the browser names it; may be empty. */
  fileName: string;
  /** The bytes of the file; to be read to the end, or closed with `return`. */
  pieces: AsyncGenerator<Buffer>;
}

const MAX_PART_HEADER_BYTES = 8_192;
const MAX_FILE_NAME_CHARS = 255;

/**
 * The first file of a multipart form (RFC 7578), as it comes: files are of any size, and none is held in memory. Fields
 * before it are passed over, and so is everything behind. Throws `UPLOAD_INVALID` for a body that holds no file.
 */
export async function openUpload(body: AsyncIterable<Buffer>, contentType: string): Promise<Upload> {
  const boundary = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(contentType);
  if (!boundary) throw invalid();
  const reader = new PartReader(body[Symbol.asyncIterator](), boundary[1] ?? boundary[2] ?? '');
  for (;;) {
    const header = await reader.nextHeader();
    if (header === null) throw invalid();
    const fileName = /^content-disposition:[^\r\n]*;\s*filename="((?:[^"\r\n])*)"/im.exec(header)?.[1];
    const pieces = reader.content();
    if (fileName !== undefined)
      return { fileName: fileName.replaceAll('%22', '"').slice(0, MAX_FILE_NAME_CHARS), pieces };
    await drain(pieces);
  }
}

function invalid(why = 'choose a file'): DomainError {
  return new DomainError('UPLOAD_INVALID', `file: ${why}`, { field: 'file' });
}

async function drain(pieces: AsyncGenerator<Buffer>): Promise<void> {
  while ((await pieces.next()).done !== true);
}

/** Parts of a multipart body, one after another; holds one piece of it and as much as a delimiter may be cut. */
class PartReader {
  /** The first delimiter has no line break before it. */
  #rest: Buffer = Buffer.from('\r\n');
  /** Whether a delimiter is still to come: at the start, and behind a header. */
  #inContent = true;
  #isOver = false;
  readonly #delimiter: Buffer;

  constructor(
    private readonly body: AsyncIterator<Buffer>,
    boundary: string,
  ) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  /** The header lines of the next part, or null at the end. */
  async nextHeader(): Promise<string | null> {
    await drain(this.content());
    while (this.#rest.length < 2) if (!(await this.#more())) return null;
    if (this.#rest.subarray(0, 2).toString() !== '\r\n') return null;
    for (;;) {
      const end = this.#rest.indexOf('\r\n\r\n');
      if (end >= 0) {
        const header = this.#rest.toString('utf8', 2, end);
        this.#rest = this.#rest.subarray(end + 4);
        this.#inContent = true;
        return header;
      }
      if (this.#rest.length > MAX_PART_HEADER_BYTES || !(await this.#more())) return null;
    }
  }

  /** What is left up to the next delimiter. Throws when the body ends before it. */
  async *content(): AsyncGenerator<Buffer> {
    while (this.#inContent) {
      const at = this.#rest.indexOf(this.#delimiter);
      if (at >= 0) {
        const last = this.#rest.subarray(0, at);
        this.#rest = this.#rest.subarray(at + this.#delimiter.length);
        this.#inContent = false;
        if (last.length > 0) yield last;
        return;
      }
      const sure = this.#rest.length - this.#delimiter.length + 1;
      if (sure > 0) {
        const piece = this.#rest.subarray(0, sure);
        this.#rest = this.#rest.subarray(sure);
        yield piece;
      }
      if (!(await this.#more())) throw invalid('the upload broke off');
    }
  }

  async #more(): Promise<boolean> {
    if (this.#isOver) return false;
    const next = await this.body.next();
    if (next.done === true) this.#isOver = true;
    else this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
    return !this.#isOver;
  }
}
