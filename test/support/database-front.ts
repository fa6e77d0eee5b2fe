import { connect, createServer, type Server, type Socket } from 'node:net';

/** A fixed door to a database, whose server may have another port after each start; closed, the database is away. */
export class DatabaseFront<Where extends number | string = number> {
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(
    /** Where the server is now. */
    private readonly behind: () => { host: string; port: number },
    /** A port, or the path of a Unix socket. */
    readonly port: Where,
  ) {}

  async open(): Promise<this> {
    const server = createServer((socket) => {
      const { host, port } = this.behind();
      const onward = connect(port, host);
      for (const each of [socket, onward]) {
        this.#sockets.add(each);
        each.on('close', () => this.#sockets.delete(each));
        each.on('error', () => undefined);
      }
      onward.on('close', () => socket.destroy());
      socket.on('close', () => onward.destroy());
      socket.pipe(onward).pipe(socket);
    });
    this.#server = server;
    await new Promise<void>((resolve) => {
      if (typeof this.port === 'string') server.listen(this.port, resolve);
      else server.listen(this.port, '127.0.0.1', resolve);
    });
    return this;
  }

  /** Cuts what is open. */
  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.#server?.close(resolve);
      for (const socket of this.#sockets) socket.destroy();
    });
  }
}
