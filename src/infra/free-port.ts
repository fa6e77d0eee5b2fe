import { createServer } from 'node:net';

/**
 * Below what systems give to outgoing connections and to servers that ask for any port (32768 and up on Linux, 49152 on
 * others): a port from there can be taken between the look and the use, and the start fails with EADDRINUSE.
 */
const [FIRST, COUNT] = [12_000, 20_000];
/** Neighbouring processes begin this far apart, so that two that look at the same moment do not meet. */
const APART = 97;

let asked = 0;

/**
 * A port on 127.0.0.1 that nobody listens on and that the system gives to nobody else unasked. For servers that must
 * know their port before they listen.
 * @throws Error when all of them are taken
 */
export async function freePort(): Promise<number> {
  for (let looked = 0; looked < COUNT; looked++) {
    const port = FIRST + ((process.pid * APART + asked++) % COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`No free port on 127.0.0.1 from ${FIRST} to ${FIRST + COUNT - 1}.`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
