import { appendFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { SinkSession } from './sink-session.js';

/** Where in an SMTP transaction the sink is about to answer; `body`: bytes of the mail have come, not yet the dot. */
export type SinkStage = 'connect' | 'helo' | 'auth' | 'mail' | 'rcpt' | 'data' | 'body' | 'dot';

/**
 * How the sink misbehaves. After the dot, only a refusal leaves the mail untaken: a server that then drops, stalls or
 * mumbles has taken it, which is the worse case for the client.
 */
export type SinkFault =
  | { kind: 'reply'; code: number; text?: string }
  /** FIN. */
  | { kind: 'drop' }
  /** RST. */
  | { kind: 'reset' }
  /** Never answers. */
  | { kind: 'stall' }
  /** Answers as it should, after `ms`. */
  | { kind: 'late'; ms: number }
  /** The first two digits of the reply, then the end of the connection. */
  | { kind: 'partial' }
  /** The right code with a line of `bytes` octets, 8-bit ones and stray returns among them. */
  | { kind: 'noise'; bytes: number }
  /** The right reply at one octet each `ms`; `more` stands behind it, as relays like to say a lot. */
  | { kind: 'trickle'; ms: number; more?: string };

/** A rule applies to the hits of its stage it names (`at`, counted from 1), to each `every`-th, or by chance. */
export interface SinkRule {
  stage: SinkStage;
  fault: SinkFault;
  at?: readonly number[];
  every?: number;
  chance?: number;
}

export interface SinkOptions {
  port?: number;
  /** Listens there, too, and names it in its URL: another address of the loopback network is a foreign host to the client. */
  host?: string;
  /** `user:password` for the client; only its URL changes. */
  login?: string;
  rules?: readonly SinkRule[];
  /** Seed of the chances. */
  seed?: number;
  /** A limit the client is not told of: more mails a second than this are refused with `code` (421 or 451). */
  limit?: { perSecond: number; code: number };
  /** One line for each mail taken, written before the reply. */
  logFile?: string;
  extensions?: readonly string[];
  /** What came in one packet with the end of a mail is dropped without a word, as by a relay that lies about PIPELINING. */
  dropsBehindDot?: boolean;
  /** Keeps the bytes of the mail taken last, without its dot, in `last`. */
  keepLast?: boolean;
}

export interface StageFacts {
  stage: SinkStage;
  /** How often this stage has been reached, this time included. */
  hit: number;
  /** What the client said; for `dot` the Message-ID. */
  text: string;
}

const EXTENSIONS = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 52428800'];

/**
 * A raw SMTP server that counts what it takes by Message-ID and misbehaves by rules. Not built on a library: the faults
 * are about single bytes, and it must be faster than what is measured against it.
 */
export class CountingSink {
  /** Message-ID to the number of times it was taken. */
  readonly taken = new Map<string, number>();
  readonly recipients = new Map<string, string>();
  /** Message-ID to the subject that it was taken with; null as long as nobody asks for them. */
  subjects: Map<string, string> | null = null;
  readonly hits: Record<SinkStage, number> = {
    connect: 0,
    helo: 0,
    auth: 0,
    mail: 0,
    rcpt: 0,
    data: 0,
    body: 0,
    dot: 0,
  };
  readonly extensions: readonly string[];
  readonly keepLast: boolean;
  readonly dropsBehindDot: boolean;
  takenTotal = 0;
  last = '';
  refused = 0;
  /** Times the client was left with a body begun and no clear answer to it. */
  unclear = 0;
  /** The most connections open at once. */
  mostOpen = 0;
  /** Called before each answer; the answer waits for it. For faults that lie outside the sink. */
  onStage: ((facts: StageFacts) => Promise<void> | void) | null = null;
  rules: readonly SinkRule[];
  readonly #servers: Server[] = [];
  readonly #sessions = new Map<Socket, SinkSession>();
  readonly #random: () => number;
  #windowStartMs = 0;
  #inWindow = 0;

  constructor(private readonly options: SinkOptions = {}) {
    this.rules = options.rules ?? [];
    this.keepLast = options.keepLast ?? false;
    this.dropsBehindDot = options.dropsBehindDot ?? false;
    this.extensions = options.extensions ?? EXTENSIONS;
    this.#random = randomFrom(options.seed ?? 1);
  }

  async listen(): Promise<number> {
    await this.#listenOn('127.0.0.1', this.options.port ?? 0);
    if (this.options.host !== undefined) await this.#listenOn(this.options.host, this.port);
    return this.port;
  }

  get port(): number {
    const address = this.#servers[0]?.address() as AddressInfo | undefined;
    return address?.port ?? 0;
  }

  get url(): string {
    const login = this.options.login === undefined ? '' : `${this.options.login}@`;
    return `smtp://${login}${this.options.host ?? '127.0.0.1'}:${this.port}`;
  }

  /** Connections open now. */
  get open(): number {
    return this.#sessions.size;
  }

  /** Every connection ends in the middle of whatever was under way. */
  hangUp(): void {
    for (const session of this.#sessions.values()) session.hangUp();
  }

  async close(): Promise<void> {
    const closed = this.#servers.map(
      async (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    for (const socket of this.#sessions.keys()) socket.destroy();
    await Promise.all(closed);
  }

  /** Called by a session when a stage is reached. */
  faultAt(stage: SinkStage): SinkFault | null {
    const hit = ++this.hits[stage];
    if (stage === 'mail' && this.#overLimit())
      return {
        kind: 'reply',
        code: this.options.limit?.code ?? 451,
        text: 'too many mails, try again later',
      };
    for (const rule of this.rules) {
      if (rule.stage !== stage) continue;
      if (rule.at?.includes(hit)) return rule.fault;
      if (rule.every !== undefined && hit % rule.every === 0) return rule.fault;
      if (rule.chance !== undefined && this.#random() < rule.chance) return rule.fault;
    }
    return null;
  }

  /** Called by a session when the sink has taken responsibility for a mail. */
  take(messageId: string, recipient: string, subject = ''): void {
    this.subjects?.set(messageId, subject);
    this.takenTotal++;
    this.taken.set(messageId, (this.taken.get(messageId) ?? 0) + 1);
    this.recipients.set(messageId, recipient);
    if (this.options.logFile !== undefined) appendFileSync(this.options.logFile, `${messageId}\n`);
  }

  async #listenOn(host: string, port: number): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => {
      const session = new SinkSession(socket, this);
      this.#sessions.set(socket, session);
      this.mostOpen = Math.max(this.mostOpen, this.#sessions.size);
      socket.on('close', () => this.#sessions.delete(socket));
      session.begin();
    });
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, 1024, resolve);
    });
  }

  #overLimit(): boolean {
    if (this.options.limit === undefined) return false;
    const nowMs = performance.now();
    if (nowMs - this.#windowStartMs >= 1000) {
      this.#windowStartMs = nowMs;
      this.#inWindow = 0;
    }
    return ++this.#inWindow > this.options.limit.perSecond;
  }
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32's recurrence). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
