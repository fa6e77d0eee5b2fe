import { createServer, type Server } from 'node:net';
import { afterAll, expect, it } from 'vitest';
import { freePort } from '../../../src/infra/free-port.js';

const servers: Server[] = [];
afterAll(() => servers.forEach((server) => server.close()));

it('gives each asker a port of its own, outside what systems give to connections unasked', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, freePort));
  expect(new Set(ports).size).toBe(50);
  expect(ports.filter((port) => port < 1_024 || port >= 32_768)).toEqual([]);
});

it('passes by a port on which somebody listens', async () => {
  const next = (await freePort()) + 1;
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => {
    // Somebody else may listen there, which is as good.
    server.once('error', () => resolve());
    server.listen(next, '127.0.0.1', resolve);
  });
  const given = await freePort();
  expect(given).not.toBe(next);
  expect(given).toBeLessThan(next + 1_000);
});
