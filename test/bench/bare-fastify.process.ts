import { fastify } from 'fastify';

/** What a web server costs that does nothing: one route, one constant. Tells its parent the port. */
const server = fastify();
server.get('/', (_request, reply) => reply.send('ok'));
await server.listen({ port: 0, host: '127.0.0.1' });
process.send?.({ port: (server.server.address() as { port: number }).port });
process.on('disconnect', () => process.exit(0));
