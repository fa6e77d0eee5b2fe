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
  /** Requests a second at fixed times, kept to the millisecond; null: as many as are answered. */
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
  /** Of each request, from the moment it was due, so that a server that stalls is charged for all who wait. */
  latenciesMs: Float64Array;
  /** Of each request: how late this process sent it though a connection was free. So much of its latency is the load's own. */
  latenessMs: Float64Array;
}

const HEAD_END = Buffer.from('\r\n\r\n');
/** Longer than any answer here, so that one comes in one piece. */
const ANSWER_BYTES = 4_096;

/**
 * One request after the other on one connection. Answers of one kind have one length: the first is read in full, of the
 * others only status and length are looked at, and all are read into the same few bytes, so that the load costs less
 * than what it measures.
 */
class Line {
  readonly #socket: Socket;
  readonly #answer = Buffer.alloc(ANSWER_BYTES);
  readonly #ready: Promise<void>;
  #received = 0;
  #length = 0;
  wrong = 0;
  dueMs = 0;

  constructor(
    port: number,
    private readonly status: string,
    private readonly answered: (line: Line) => void,
  ) {
    const onread = { buffer: Buffer.alloc(ANSWER_BYTES), callback: this.#take.bind(this) };
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    this.#socket.on('error', (error) => {
      throw error;
    });
    this.#ready = new Promise((resolve) => this.#socket.once('connect', resolve));
  }

  async open(): Promise<this> {
    await this.#ready;
    return this;
  }

  ask(request: Buffer, dueMs: number): void {
    this.dueMs = dueMs;
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: number, chunk: Uint8Array): boolean {
    if (this.#received + bytes > ANSWER_BYTES) throw new Error('an answer longer than those expected');
    this.#answer.set(bytes === ANSWER_BYTES ? chunk : chunk.subarray(0, bytes), this.#received);
    this.#received += bytes;
    this.#length ||= lengthOf(this.#answer.subarray(0, this.#received));
    if (this.#length === 0 || this.#received < this.#length) return true;
    if (this.#received > this.#length) throw new Error('an answer of another length');
    this.#received = 0;
    // `HTTP/1.1 302 Found` has its status at 9.
    if (this.#answer.toString('latin1', 9, 12) !== this.status) this.wrong++;
    this.answered(this);
    return true;
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

/** Times, outside the heap from the beginning: a list that grows is copied while answers wait to be read. */
class Times {
  #values = new Float64Array(2 ** 20);
  #length = 0;

  add(ms: number): void {
    if (this.#length === this.#values.length) {
      const more = new Float64Array(2 * this.#length);
      more.set(this.#values);
      this.#values = more;
    }
    this.#values[this.#length++] = ms;
  }

  get all(): Float64Array {
    return this.#values.slice(0, this.#length);
  }
}

async function run({ paths, headers, ...task }: LoadTask): Promise<LoadResult> {
  const requests = new Requests({ paths, headers });
  const [latencies, lateness] = [new Times(), new Times()];
  const idle: Line[] = [];
  let [answered, next] = [0, 0];
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  /** False when nothing is due now. `free`: whether a connection was waiting for it. */
  const askNext = (line: Line, nowMs: number, free: boolean): boolean => {
    const dueMs = gapMs === null ? nowMs : start + next * gapMs;
    if (dueMs > nowMs || dueMs >= until) return false;
    line.ask(requests.at(next++), dueMs);
    if (dueMs >= measuredFrom) lateness.add(free ? nowMs - dueMs : 0);
    return true;
  };
  const lines = await Promise.all(
    Array.from({ length: task.connections }, async () => {
      const line = new Line(task.port, String(task.status), (free) => {
        const nowMs = performance.now();
        answered++;
        if (free.dueMs >= measuredFrom) latencies.add(nowMs - free.dueMs);
        if (askNext(free, nowMs, idle.length > 0)) return;
        idle.push(free);
        if (nowMs >= until && idle.length === task.connections) end();
      });
      return line.open();
    }),
  );
  const start = performance.now();
  const measuredFrom = start + task.warmUpSeconds * 1_000;
  const until = measuredFrom + task.seconds * 1_000;
  const gapMs = task.perSecond === null ? null : 1_000 / task.perSecond;
  idle.push(...lines);
  const tick = (): void => {
    const nowMs = performance.now();
    for (let line = idle.at(-1); line !== undefined && askNext(line, nowMs, true); line = idle.at(-1))
      idle.pop();
    if (nowMs < until) setTimeout(tick, 1);
    else if (idle.length === task.connections) end();
  };
  tick();
  await ended;
  const seconds = (performance.now() - measuredFrom) / 1_000;
  for (const line of lines) line.close();
  const [latenciesMs, latenessMs] = [latencies.all, lateness.all];
  const wrong = lines.reduce((sum, line) => sum + line.wrong, 0);
  return { answered, wrong, perSecond: latenciesMs.length / seconds, latenciesMs, latenessMs };
}

process.once('message', (task: LoadTask) => {
  void run(task).then((result) => {
    process.send?.(result, () => process.exit(0));
  });
});
