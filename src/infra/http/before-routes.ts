import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';

/** True when it has answered; false leaves the request to the routes. */
export type FirstLook = (request: IncomingMessage, response: ServerResponse) => boolean;

/**
 * Lets `look` see each request before the router does, and without its hooks. For the few addresses that are asked for
 * by the hundred thousand; the routes stay for everything that is not plain. A server that closes gives no first look,
 * so that Fastify tells its clients.
 */
export function beforeRoutes(server: Server, look: FirstLook): void {
  const routes = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (server.listening && look(request, response)) return;
    for (const route of routes) route(request, response);
  });
}
