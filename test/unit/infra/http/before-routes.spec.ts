import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { fastify, type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TrustedProxies } from '../../../../config/trusted-proxies.js';
import { beforeRoutes, type PlainAnswer } from '../../../../src/infra/http/before-routes.js';
import { clientAddress, trustIn } from '../../../../src/infra/http/client-address.js';
import { plainRequest } from '../../../../src/tracking/plain-request.js';

let server: FastifyInstance;
/** What the first look was asked. */
let seen: string[];
let sockets: Socket[];

const redirect = (to: string): PlainAnswer => ({
  status: 302,
  headers: ['location', `https://example.com/${to}`, 'content-length', '0'],
  body: '',
});
const PICTURE: PlainAnswer = {
  status: 200,
  headers: ['content-type', 'image/gif', 'content-length', '5'],
  body: 'GIF\xff\x00',
};

beforeEach(async () => {
  [seen, sockets] = [[], []];
  server = fastify();
  server.get('/slow', async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return 'slow';
  });
  server.all('/*', (request, reply) => reply.send(`routed ${request.method}`));
  await server.listen({ port: 0, host: '127.0.0.1' });
  beforeRoutes(server.server, ({ url = '', method }) => {
    seen.push(`${method} ${url}`);
    if (method !== 'GET' && method !== 'HEAD') return null;
    return url === '/o/x.gif' ? PICTURE : url.startsWith('/c/') ? redirect(url.slice(3)) : null;
  });
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await server.close();
});

async function open(): Promise<Socket> {
  const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
  sockets.push(socket);
  await once(socket, 'connect');
  return socket.setEncoding('latin1');
}

const ask = (path: string, method = 'GET', more = ''): string =>
  `${method} ${path} HTTP/1.1\r\nhost: example.com\r\n${more}\r\n`;

/** All that comes until `enough`, or until the other side closes. */
async function answers(socket: Socket, enough: (text: string) => boolean = () => false): Promise<string> {
  let text = '';
  for await (const piece of socket.iterator({ destroyOnReturn: false })) {
    text += String(piece);
    if (enough(text)) break;
  }
  return text;
}

/** Status and location or body of each answer, in their order. */
const summary = (text: string): string[] =>
  text
    .split(/(?=HTTP\/1\.1 \d)/)
    .filter((part) => part !== '')
    .map((part) => {
      const [head = '', body = ''] = part.split('\r\n\r\n', 2);
      return `${head.slice(9, 12)} ${/location: (\S+)/.exec(head)?.[1] ?? body}`;
    });
const statuses = (count: number) => (text: string) =>
  (text.match(/HTTP\/1\.1 \d/g) ?? []).length === count && !text.endsWith('\r\n') && text.length > 0;

describe('answers before the routes', () => {
  it('come in the order of the requests, plain and routed ones mixed on one connection', async () => {
    const socket = await open();
    const paths = ['/c/1', '/slow', '/c/2', '/o/x.gif', '/elsewhere', '/c/3', '/o/x.gif'];
    socket.write(paths.map((path) => ask(path)).join(''), 'latin1');
    expect(summary(await answers(socket, statuses(paths.length)))).toEqual([
      ...['302 https://example.com/1', '200 slow', '302 https://example.com/2', '200 GIF\xff\x00'],
      ...['200 routed GET', '302 https://example.com/3', '200 GIF\xff\x00'],
    ]);
    expect(seen).toHaveLength(paths.length);
  });

  it('leave the connection open for the next request, or close it when asked to', async () => {
    const socket = await open();
    const heads: string[] = [];
    for (let turn = 0; turn < 3; turn++) {
      socket.write(ask('/o/x.gif'));
      heads.push(await answers(socket, (text) => text.endsWith('GIF\xff\x00')));
    }
    expect(heads.every((head) => /\r\nConnection: keep-alive\r\n/i.test(head))).toBe(true);
    socket.write(ask('/c/1', 'GET', 'connection: close\r\n'));
    // The iteration ends because the server closes.
    expect(summary(await answers(socket))).toEqual(['302 https://example.com/1']);
  });

  it('have the head of a GET and no body for HEAD, and none for other methods', async () => {
    const socket = await open();
    socket.write(ask('/o/x.gif', 'HEAD') + ask('/c/1', 'HEAD') + ask('/o/x.gif'));
    const text = await answers(socket, (all) => all.endsWith('GIF\xff\x00'));
    expect(summary(text)).toEqual(['200 ', '302 https://example.com/1', '200 GIF\xff\x00']);
    expect(text.match(/content-length: 5\r\n/g)).toHaveLength(2);
    socket.write(ask('/c/1', 'DELETE'));
    expect(summary(await answers(socket, statuses(1)))).toEqual(['200 routed DELETE']);
  });

  it('go out together for requests that came together', async () => {
    const order: string[] = [];
    server.server.removeAllListeners('request');
    beforeRoutes(server.server, ({ url = '' }) => {
      order.push(`look ${url}`);
      return redirect(url);
    });
    server.server.on('request', (request, response) => {
      const end = response.end.bind(response);
      response.end = ((...rest: Parameters<typeof end>) => {
        order.push(`write ${request.url}`);
        return end(...rest);
      }) as typeof response.end;
    });
    const socket = await open();
    socket.write(['/c/1', '/c/2', '/c/3'].map((path) => ask(path)).join(''));
    await answers(socket, (text) => (text.match(/HTTP\/1\.1 302/g) ?? []).length === 3);
    expect(order).toEqual([
      ...['look /c/1', 'look /c/2', 'look /c/3'],
      ...['write /c/1', 'write /c/2', 'write /c/3'],
    ]);
  });

  it('leave addresses that nobody can read to the routes, and bytes that are no HTTP to Node', async () => {
    const odd = ['/c', '/%', '/%zz', '//c/1', '/.', '/c%2f1', 'http://example.com/c/1', '*'];
    const statusOf = async (path: string): Promise<string> => {
      const socket = await open();
      socket.write(ask(path, path === '*' ? 'OPTIONS' : 'GET', 'connection: close\r\n'));
      return `${path} ${(await answers(socket)).slice(9, 10)}`;
    };
    for (const line of await Promise.all(odd.map(statusOf))) expect(line).toMatch(/ [24]$/);
    const socket = await open();
    socket.write('GET /c/1\x00 HTTP/1.1\r\n\r\n');
    expect(summary(await answers(socket)).map((line) => line.slice(0, 3))).toEqual(['400']);
    const next = await open();
    next.write(ask('/c/1', 'GET', 'connection: close\r\n'));
    expect(summary(await answers(next))).toEqual(['302 https://example.com/1']);
  });

  it('harm nobody when the client has gone before its answer', async () => {
    const socket = await open();
    socket.write(ask('/c/1').repeat(50));
    socket.resetAndDestroy();
    const next = await open();
    next.write(ask('/c/2', 'GET', 'connection: close\r\n'));
    expect(summary(await answers(next))).toEqual(['302 https://example.com/2']);
  });

  it('are given to requests that were there when the server closed, and to none that come later', async () => {
    const [early, late] = [await open(), await open()];
    // Both have shown that they are known to the server.
    for (const socket of [early, late]) {
      socket.write(ask('/c/0'));
      await answers(socket, (text) => text.endsWith('\r\n\r\n'));
    }
    late.write('GET /c/late HTTP/1.1\r\nhost: example.com\r\n');
    const looked = new Promise<void>((resolve) => {
      server.server.once('request', () => resolve());
    });
    early.write(ask('/c/early'));
    await looked;
    const [answered, refused] = [answers(early), answers(late)];
    const closed = server.close();
    late.write('\r\n');
    expect(summary(await answered)).toEqual(['302 https://example.com/early']);
    expect((await refused).slice(9, 12)).toMatch(/^(?:503)?$/);
    expect(seen).not.toContain('GET /c/late');
    await closed;
  });
});

describe('a plain request for a link or a picture', () => {
  const look = (
    url: string,
    { method = 'GET', headers = {}, proxies = null as TrustedProxies | null } = {},
  ) => {
    const socket = { remoteAddress: '203.0.113.9' } as Socket;
    const request = { url, method, headers, socket } as IncomingMessage;
    return plainRequest(request, () => clientAddress(request, trustIn(proxies)));
  };

  it('is GET or HEAD of the address as it stands in the mail', () => {
    expect(look('/c/abc')).toMatchObject({ kind: 'click', token: 'abc', from: { ip: '203.0.113.9' } });
    expect(look('/o/abc.gif', { method: 'HEAD' })).toMatchObject({ kind: 'open', token: 'abc' });
    expect(
      ['', '/', '/c', '/o/abc', '/x/abc', '/cc/abc', 'c//abc', '/admin'].filter((url) => look(url) !== null),
    ).toEqual([]);
    expect(look('/c/abc', { method: 'POST' })).toBeNull();
    // No token holds these signs; the routes take the query off.
    expect(look('/c/abc?x=1')?.token).toBe('abc?x=1');
  });

  it('is counted for the address of the connection: without TRUST_PROXY no header changes it', () => {
    const headers = { 'x-forwarded-for': '198.51.100.7' };
    expect(look('/c/abc', { headers })?.from.ip).toBe('203.0.113.9');
  });

  it.each([
    ['198.51.100.7', ['203.0.113.9'], '198.51.100.7'],
    ['192.0.2.1, 198.51.100.7', ['203.0.113.9'], '198.51.100.7'],
    ['192.0.2.1, 198.51.100.7', ['203.0.113.0/24', '198.51.100.7'], '192.0.2.1'],
    ['192.0.2.1', ['loopback'], '203.0.113.9'],
    // A number counts behind a near connection alone.
    ['192.0.2.1, 198.51.100.7', 1, '203.0.113.9'],
    [undefined, ['203.0.113.9'], '203.0.113.9'],
    ['nobody', ['203.0.113.9'], 'nobody'],
  ] satisfies [string | undefined, TrustedProxies, string][])(
    'is counted for whom trusted proxies name: %s by %j is %s, as the routes have it',
    async (forwarded, proxies, ip) => {
      const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
      expect(look('/c/abc', { headers, proxies })?.from.ip).toBe(ip);
      const routes = fastify({ trustProxy: trustIn(proxies) ?? false });
      routes.get('/', (request, reply) => reply.send(request.ip));
      const answer = await routes.inject({ url: '/', headers, remoteAddress: '203.0.113.9' });
      expect(answer.body).toBe(ip);
    },
  );
});
