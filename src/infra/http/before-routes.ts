import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';

export interface PlainAnswer {
  status: number;
  /** Names and values in turns; `content-length` among them. */
  headers: string[];
  /** One character for each byte. */
  body: string;
}

/** The answer, or null to leave the request to the routes. Neither waits nor throws. */
type FirstLook = (request: IncomingMessage) => PlainAnswer | null;

/**
 * Lets `look` see each request before the router does, and without its hooks. For the few addresses that are asked for
 * by the hundred thousand; the routes stay for everything that is not plain. A server that closes gives no first look,
 * so that Fastify tells its clients.
 *
 * The answers to all requests that came in together go out together: a reader on the same machine, such as a reverse
 * proxy, is then woken once for all of them, and an answer costs a quarter less.
 */
export function beforeRoutes(server: Server, look: FirstLook): void {
  const routes = server.listeners('request') as RequestListener[];
  let ready: [ServerResponse, PlainAnswer][] = [];
  const writeReady = (): void => {
    const answers = ready;
    ready = [];
    for (const [response, answer] of answers) {
      // Else its connection would hold up a server that has closed meanwhile.
      if (!server.listening) response.shouldKeepAlive = false;
      writePlain(response, answer);
    }
  };
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    const answer = server.listening ? look(request) : null;
    if (answer === null) {
      for (const route of routes) route(request, response);
      return;
    }
    if (ready.push([response, answer]) === 1) setImmediate(writeReady);
  });
}

/** Writes head and body at once, past Fastify's ways for objects, streams and hooks. Node leaves the body out for HEAD. */
export function writePlain(response: ServerResponse, { status, headers, body }: PlainAnswer): void {
  response.writeHead(status, headers);
  response.end(body, 'latin1');
}
