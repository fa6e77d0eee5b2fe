import { connect, type Socket } from 'node:net';

export interface LoadTask {
  port: number;
  /** Sent one after the other, from the beginning again after the last. */
  paths: string[];
  headers: string;
  connections: number;
  seconds: number;
  /** At the same pace before that, unmeasured: this process and what it asks are compiled and know the pace by then. */
  warmUpSeconds: number;
  /** Requests a second at fixed times; null: as many as are answered. */
  perSecond: number | null;
  /** First digits of every right answer. */
  status: number;
}

export interface LoadResult {
  /** While warming up, too. */
  answered: number;
  /** Answers with another status. */
  wrong: number;
  perSecond: number;
  /** From the moment a request was due, so that a server that stalls is charged for all who wait. */
  p50Ms: number;
  p99Ms: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * One request after the other on one connection. Answers of one kind have one length: the first is read in full, of the
 * others only status and length are looked at, so that the load costs less than what it measures.
 */
class Line {
  #waiting: (() => void) | null = null;
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;
  wrong = 0;

  constructor(
    private readonly socket: Socket,
    private readonly status: string,
  ) {
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => {
      throw error;
    });
  }

  ask(request: Buffer, answered: () => void): void {
    this.#waiting = answered;
    this.socket.write(request);
  }

  #take(chunk: Buffer): void {
    if (this.#buffer.length > 0 || chunk.length !== this.#length) {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#length ||= lengthOf(this.#buffer);
      if (this.#length === 0 || this.#buffer.length < this.#length) return;
      if (this.#buffer.length > this.#length) throw new Error('an answer of another length');
      this.#buffer = Buffer.alloc(0);
    }
    if (this.#status(chunk) !== this.status) this.wrong++;
    this.#waiting?.();
  }

  /** `HTTP/1.1 302 Found` has its status at 9. */
  #status(chunk: Buffer): string {
    return chunk.toString('latin1', 9, 12);
  }
}

function lengthOf(answer: Buffer): number {
  const end = answer.indexOf(HEAD_END);
  if (end < 0) return 0;
  const body = /\r\ncontent-length: (\d+)/i.exec(answer.toString('latin1', 0, end))?.[1];
  return end + HEAD_END.length + Number(body ?? 0);
}

/** All in one piece: hundreds of thousands of strings would have the collector stop this process for 20 ms at a time. */
class Requests {
  readonly #bytes: Buffer;
  readonly #ends: Uint32Array;

  constructor({ paths, headers }: Pick<LoadTask, 'paths' | 'headers'>) {
    const [before, after] = ['GET ', ` HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`];
    const around = before.length + after.length;
    this.#ends = new Uint32Array(paths.length);
    this.#bytes = Buffer.allocUnsafe(paths.reduce((sum, { length }) => sum + length + around, 0));
    let end = 0;
    for (const [turn, path] of paths.entries()) {
      end += this.#bytes.write(before + path + after, end, 'latin1');
      this.#ends[turn] = end;
    }
  }

  /** From the beginning again after the last. */
  at(turn: number): Buffer {
    const place = turn % this.#ends.length;
    return this.#bytes.subarray(this.#ends[place - 1] ?? 0, this.#ends[place]);
  }
}

async function run({ paths, headers, ...task }: LoadTask): Promise<LoadResult> {
  const requests = new Requests({ paths, headers });
  const lines = await Promise.all(
    Array.from({ length: task.connections }, async () => {
      const socket = connect(task.port, '127.0.0.1');
      socket.setNoDelay(true);
      await new Promise((resolve) => socket.once('connect', resolve));
      return new Line(socket, String(task.status));
    }),
  );
  const latencies: number[] = [];
  let answered = 0;
  let next = 0;
  const start = performance.now();
  const measuredFrom = start + task.warmUpSeconds * 1_000;
  const until = measuredFrom + task.seconds * 1_000;
  const gapMs = task.perSecond === null ? null : 1_000 / task.perSecond;
  const drive = (line: Line, done: () => void): void => {
    const turn = next++;
    const dueMs = gapMs === null ? performance.now() : start + turn * gapMs;
    if (dueMs >= until) return done();
    const ask = (): void =>
      line.ask(requests.at(turn), () => {
        answered++;
        if (dueMs >= measuredFrom) latencies.push(performance.now() - dueMs);
        drive(line, done);
      });
    const early = dueMs - performance.now();
    if (early > 1) setTimeout(ask, early);
    else ask();
  };
  await Promise.all(lines.map(async (line) => new Promise<void>((resolve) => drive(line, resolve))));
  const seconds = (performance.now() - measuredFrom) / 1_000;
  const sorted = Float64Array.from(latencies).toSorted();
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return {
    answered,
    wrong: lines.reduce((sum, line) => sum + line.wrong, 0),
    perSecond: latencies.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

process.once('message', (task: LoadTask) => {
  void run(task).then((result) => {
    process.send?.(result, () => process.exit(0));
  });
});
