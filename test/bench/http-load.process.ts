import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LoadTask {
  port: number;
  /** Sent one after the other, from the beginning again after the last. */
  paths: string[];
  headers: string;
  connections: number;
  seconds: number;
  /** Requests a second at fixed times; null: as many as are answered. */
  perSecond: number | null;
  /** First digits of every right answer. */
  status: number;
}

export interface LoadResult {
  answered: number;
  /** Answers with another status. */
  wrong: number;
  perSecond: number;
  /** From the moment a request was due, so that a server that stalls is charged for all who wait. */
  p50Ms: number;
  p99Ms: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** One request after the other on one connection. */
class Line {
  #waiting: (() => void) | null = null;
  #buffer: Buffer = Buffer.alloc(0);
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

  ask(request: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.socket.write(request);
    });
  }

  #take(chunk: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    const end = this.#buffer.indexOf(HEAD_END);
    if (end < 0) return;
    const head = this.#buffer.toString('latin1', 0, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (this.#buffer.length < end + HEAD_END.length + length) return;
    if (!head.startsWith(this.status)) this.wrong++;
    this.#buffer = Buffer.alloc(0);
    this.#waiting?.();
  }
}

async function run(task: LoadTask): Promise<LoadResult> {
  const requests = task.paths.map((path) =>
    Buffer.from(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n${task.headers}\r\n`),
  );
  const lines = await Promise.all(
    Array.from({ length: task.connections }, async () => {
      const socket = connect(task.port, '127.0.0.1');
      socket.setNoDelay(true);
      await new Promise((resolve) => socket.once('connect', resolve));
      return new Line(socket, `HTTP/1.1 ${task.status}`);
    }),
  );
  const latencies: number[] = [];
  let next = 0;
  const start = performance.now();
  const until = start + task.seconds * 1_000;
  const gapMs = task.perSecond === null ? null : 1_000 / task.perSecond;
  await Promise.all(
    lines.map(async (line) => {
      for (;;) {
        const turn = next++;
        const dueMs = gapMs === null ? performance.now() : start + turn * gapMs;
        if (dueMs >= until) return;
        const early = dueMs - performance.now();
        if (early > 1) await sleep(early);
        const request = requests[turn % requests.length];
        if (request) await line.ask(request);
        latencies.push(performance.now() - dueMs);
      }
    }),
  );
  const seconds = (performance.now() - start) / 1_000;
  const sorted = Float64Array.from(latencies).toSorted();
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return {
    answered: latencies.length,
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
