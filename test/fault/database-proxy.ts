import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** The `hit`-th passing of a statement, and what happens then. */
export interface StatementFault {
  /** Name under which the statement is prepared, or a part of its text that stands in each request to run it. */
  statement: string;
  /** `sent`: the server has the request. `committed`: its answer has come, and the client never sees it. */
  moment: 'sent' | 'committed';
  /** The moment is that of the COMMIT which ends the transaction the statement is part of. */
  atEnd?: boolean;
  hit: number;
  act: () => void;
}

const COMMIT = /\bcommit\b/i;

/**
 * Stands between the workers and PostgreSQL, so that the network can fail and the server can come back at another port.
 * `loseAnswers` is the fault that matters most: the statement is committed and the client never hears of it.
 */
export class DatabaseProxy {
  /** Chance that a connection ends right after a request was passed on, before anything of the answer comes back. */
  loseAnswers = 0;
  lost = 0;
  /** Happens once. */
  statementFault: StatementFault | null = null;
  #reachable = true;
  #silent = false;
  readonly #server: Server;
  readonly #pairs = new Set<{ client: Socket; server: Socket }>();

  constructor(
    private readonly target: () => { host: string; port: number },
    private readonly random: () => number,
  ) {
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  /** Cuts every connection and refuses new ones until `open`. */
  shut(): void {
    this.#reachable = false;
    this.cut();
  }

  open(): void {
    this.#reachable = true;
  }

  /**
   * Nothing passes any more and nothing ends, as in a network that drops all packets; those who connect get no word. Of
   * `present` ones: others may still be made, as when a gateway forgets them.
   */
  silence({ connections }: { connections: 'all' | 'present' }): void {
    this.#silent = connections === 'all';
    for (const { client, server } of this.#pairs) for (const socket of [client, server]) socket.pause();
  }

  /** What was written meanwhile arrives now. */
  speak(): void {
    this.#silent = false;
    for (const { client, server } of this.#pairs) for (const socket of [client, server]) socket.resume();
  }

  cut(): void {
    for (const { client, server } of this.#pairs) {
      resetNow(client);
      server.destroy();
    }
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    if (!this.#reachable) {
      resetNow(client);
      return;
    }
    const server = connect({ ...this.target(), noDelay: true });
    const pair = { client, server };
    this.#pairs.add(pair);
    let losing = false;
    let ending: StatementFault | null = null;
    let onAnswer: (() => void) | null = null;
    client.on('data', (chunk) => {
      // Not the first packets of a connection: a failed log-in is another fault.
      losing ||= client.bytesRead > 2_000 && this.random() < this.loseAnswers;
      let fault = ending !== null && COMMIT.test(chunk.toString('latin1')) ? ending : this.#faultIn(chunk);
      if (fault !== null && fault === ending) ending = null;
      else if (fault?.atEnd === true) [ending, fault] = [fault, null];
      server.write(chunk);
      if (fault?.moment === 'sent') fault.act();
      else if (fault) [losing, onAnswer] = [true, fault.act];
    });
    server.on('data', (chunk) => {
      if (!losing) client.write(chunk);
      else {
        this.lost++;
        onAnswer?.();
        resetNow(client);
        server.destroy();
      }
    });
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    if (this.#silent) for (const socket of [client, server]) socket.pause();
    server.on('error', end);
    for (const socket of [client, server]) socket.on('close', end);
  }

  #faultIn(chunk: Buffer): StatementFault | null {
    const fault = this.statementFault;
    if (fault === null || !chunk.includes(fault.statement) || --fault.hit > 0) return null;
    this.statementFault = null;
    return fault;
  }
}

/** `resetAndDestroy` alone waits for what is still to be written, which a peer that is gone never takes. */
function resetNow(socket: Socket): void {
  socket.resetAndDestroy();
  socket.destroy();
}
