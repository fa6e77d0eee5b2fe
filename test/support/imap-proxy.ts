import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * Stands between the product and an IMAP server; cuts the connection at what the product says, or says something else in
 * its place, when told to. `onAnswer` does so with what the server says.
 */
export async function openImapProxy(
  target: string,
  onSaid: (text: string) => 'pass' | 'cut' | { instead: string },
  onAnswer: (text: string) => string = (text) => text,
): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(target).port), '127.0.0.1');
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', cut);
      socket.on('close', cut);
    }
    client.on('data', (chunk: Buffer) => {
      const what = onSaid(chunk.toString('latin1'));
      if (what === 'cut') cut();
      else upstream.write(what === 'pass' ? chunk : Buffer.from(what.instead, 'latin1'));
    });
    upstream.on('data', (chunk: Buffer) =>
      client.write(Buffer.from(onAnswer(chunk.toString('latin1')), 'latin1')),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
