import type { Connection, PoolClient, Submittable } from 'pg';

/** The part of pg's connection that COPY needs; pg has it for the libraries built on it. */
interface CopyConnection {
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
  stream: {
    writableNeedDrain: boolean;
    on(event: 'drain' | 'close', listener: () => void): void;
    off(event: 'drain' | 'close', listener: () => void): void;
  };
}

/**
 * `copy ... from stdin` with the chunks as its text; the rows are there when it resolves, within the transaction of the
 * client. Waits for the socket, so that a slow database holds the reader back. Rejects with the error of PostgreSQL, or
 * with that of the chunks, after which nothing was copied.
 */
export async function copyIn(client: PoolClient, sql: string, chunks: AsyncIterable<string>): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(new CopyIn(sql, chunks, resolve, reject));
  });
}

/** One value of COPY's text format; null is `\\N`. */
export function copyText(value: string | null): string {
  if (value === null) return '\\N';
  return /[\\\t\n\r]/.test(value)
    ? value.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? '')
    : value;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** Speaks pg's protocol for a query object of one's own. */
class CopyIn implements Submittable {
  #error: Error | null = null;

  constructor(
    private readonly sql: string,
    private readonly chunks: AsyncIterable<string>,
    private readonly resolve: () => void,
    private readonly reject: (error: Error) => void,
  ) {}

  submit(connection: Connection): void {
    connection.query(this.sql);
  }

  handleCopyInResponse(connection: CopyConnection): void {
    void this.#send(connection);
  }

  async #send(connection: CopyConnection): Promise<void> {
    try {
      for await (const chunk of this.chunks) {
        if (this.#error) return;
        connection.sendCopyFromChunk(Buffer.from(chunk));
        if (connection.stream.writableNeedDrain)
          await new Promise<void>((go) => {
            const { stream } = connection;
            const end = (): void => {
              stream.off('drain', end);
              stream.off('close', end);
              go();
            };
            stream.on('drain', end);
            stream.on('close', end);
          });
      }
      connection.endCopyFrom();
    } catch (error) {
      this.#error = error instanceof Error ? error : new Error(String(error));
      connection.sendCopyFail('the rows could not be read');
    }
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.#error ??= error;
    this.reject(this.#error);
  }

  handleReadyForQuery(): void {
    if (this.#error) this.reject(this.#error);
    else this.resolve();
  }
}
