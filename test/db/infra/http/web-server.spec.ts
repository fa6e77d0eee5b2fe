import { Body, Controller, Get, Inject, Param, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ApiRoute } from '../../../../src/infra/http/api-route.js';
import { DomainError } from '../../../../src/values/domain-error.js';
import { ENVIRONMENT_KEY, type HttpApp, startHttpApp } from './http-app.js';

const note = z.strictObject({ text: z.string().max(2_000_000) });

@Controller()
class NotesController {
  constructor(@Inject(DataSource) private readonly dataSource: DataSource) {}

  @Post('/api/v1/notes')
  @ApiRoute({ summary: 'Keep', tag: 'Notes', response: note, example: { text: 'Hello' } })
  async keep(@Body({ schema: note }) { text }: z.output<typeof note>): Promise<z.output<typeof note>> {
    await this.dataSource.query('select $1::text', [text]);
    return { text };
  }

  @Get('/api/v1/open-notes')
  @ApiRoute({ summary: 'Read', tag: 'Notes', response: note, public: true })
  open(): z.output<typeof note> {
    return { text: 'for everybody' };
  }

  @Get('/broken/:token')
  broken(): never {
    throw new Error('no mailbox for ada@example.com');
  }

  @Get('/expired/:token')
  expired(@Param('token') token: string): never {
    throw new DomainError('LINK_EXPIRED', `This link of ${token.length} characters has <expired>`);
  }

  @Post('/echo')
  echo(@Body() body: unknown, @Req() request: FastifyRequest & { rawBody?: Buffer }): unknown {
    return { body, raw: request.rawBody?.toString() ?? null };
  }
}

let http: HttpApp;
const logged: string[] = [];

beforeAll(async () => {
  http = await startHttpApp([NotesController]);
  http.app.useLogger({ log: () => {}, warn: () => {}, error: (line: unknown) => logged.push(String(line)) });
});
afterAll(() => http.close());

const authorization = `Bearer ${ENVIRONMENT_KEY}`;
const json = { authorization, 'content-type': 'application/json' };
const post = (payload: string, headers: Record<string, string> = json) =>
  http.inject({ method: 'POST', url: '/api/v1/notes', headers, payload });

describe('what the web server refuses', () => {
  it.each([
    ['JSON that is cut off', '{"text": "a', 400, 'REQUEST_MALFORMED'],
    ['an empty body called JSON', '', 422, 'REQUEST_INVALID'],
    [
      'a prototype smuggled into JSON',
      '{"__proto__": {"admin": true}, "text": "a"}',
      400,
      'REQUEST_MALFORMED',
    ],
    ['a body over 1 MB', JSON.stringify({ text: 'x'.repeat(1_048_577) }), 413, 'REQUEST_TOO_LARGE'],
    ['an unknown field', '{"text": "a", "txt": "b"}', 422, 'REQUEST_INVALID'],
    ['a text with NUL, which PostgreSQL cannot store', '{"text": "a\\u0000b"}', 422, 'REQUEST_INVALID'],
  ])('%s', async (_, payload, status, code) => {
    const answer = await post(payload);
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.json()).toMatchObject({
      type: 'about:blank',
      status,
      code,
      instance: expect.stringMatching(/^urn:uuid:[0-9a-f-]{36}$/),
    });
  });

  it('a body in XML', async () => {
    const answer = await post('<a/>', { authorization, 'content-type': 'text/xml' });
    expect(answer.json()).toMatchObject({ status: 415, code: 'REQUEST_MEDIA_TYPE_UNSUPPORTED' });
  });

  it.each([
    ['JSON that curl calls a form', 'application/x-www-form-urlencoded', '{"text": "a"}'],
    ['a form, which programs could send by chance alone', 'application/x-www-form-urlencoded', 'text=a'],
    ['JSON called text', 'text/plain;charset=UTF-8', '{"text": "a"}'],
    [
      'a form in parts',
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="text"\r\n\r\na\r\n--x--',
    ],
  ])('%s', async (_, type, payload) => {
    const answer = await post(payload, { authorization, 'content-type': type });
    expect(answer.json()).toMatchObject({ status: 415, code: 'REQUEST_MEDIA_TYPE_UNSUPPORTED' });
  });

  it('JSON in Latin-1, of which every other letter was kept as a question mark', async () => {
    const payload = Buffer.from('{"text": "Grüße"}', 'latin1');
    const answer = await http.inject({ method: 'POST', url: '/api/v1/notes', headers: json, payload });
    expect(answer.json()).toMatchObject({
      status: 400,
      code: 'REQUEST_MALFORMED',
      detail: expect.stringContaining('UTF-8'),
    });
    expect((await post('{"text": "Grüße 😀"}')).json()).toEqual({ text: 'Grüße 😀' });
  });

  it('an unknown address, without repeating it', async () => {
    const answer = await http.inject({
      method: 'GET',
      url: '/api/v1/nothing-secret',
      headers: { accept: 'text/html' },
    });
    expect(answer.json()).toMatchObject({ status: 404, code: 'ROUTE_NOT_FOUND' });
    expect(answer.body).not.toContain('nothing-secret');
  });

  it('a broken escape in an address', async () => {
    const answer = await http.inject({ method: 'GET', url: '/broken/%E0%A4%A' });
    expect(answer.json()).toMatchObject({ status: 400, code: 'REQUEST_MALFORMED' });
  });
});

describe('an answer to a person', () => {
  const browse = (url: string) => http.inject({ method: 'GET', url, headers: { accept: 'text/html,*/*' } });

  it('is a page in words, escaped, kept by nobody and framed by nobody', async () => {
    const answer = await browse('/expired/abc');
    expect(answer.statusCode).toBe(410);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    expect(answer.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(answer.body).toContain('This link of 3 characters has &lt;expired&gt;');
  });

  it('is a page for an unknown address too, and JSON where no page is accepted', async () => {
    expect((await browse('/nothing')).headers['content-type']).toContain('text/html');
    const plain = await http.inject({ method: 'GET', url: '/nothing' });
    expect(plain.headers['content-type']).toBe('application/problem+json');
  });

  it('takes tokens of several hundred characters as part of an address', async () => {
    expect((await browse(`/expired/${'x'.repeat(600)}`)).body).toContain('This link of 600 characters');
  });

  it('says of a bug only that it happened, and logs it once without address or token', async () => {
    logged.length = 0;
    const answer = await browse('/broken/secret-token');
    expect(answer.statusCode).toBe(500);
    expect(answer.body).not.toMatch(/mailbox|ada/);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain('GET /broken/:token failed');
    expect(logged[0]).toContain(answer.headers['x-request-id']);
    expect(logged[0]).toContain('web-server.spec');
    expect(logged[0]).not.toMatch(/secret-token|ada@example/);
  });

  it('logs nothing for what a caller did wrong', async () => {
    logged.length = 0;
    await browse('/nothing');
    await post('{');
    expect(logged).toEqual([]);
  });
});

describe('a request', () => {
  const echo = (contentType: string, payload: string | Buffer) =>
    http.inject({ method: 'POST', url: '/echo', headers: { 'content-type': contentType }, payload });

  it('keeps the bytes of JSON beside what they mean, for signatures', async () => {
    expect((await echo('application/json', '{ "a" : 1 }')).json()).toEqual({
      body: { a: 1 },
      raw: '{ "a" : 1 }',
    });
  });

  it('may be an ordinary form', async () => {
    const answer = await echo('application/x-www-form-urlencoded', 'List-Unsubscribe=One-Click&a=%C3%BC');
    expect(answer.json().body).toEqual({ 'List-Unsubscribe': 'One-Click', a: 'ü' });
  });

  it('may be a multipart form, as RFC 8058 allows', async () => {
    const body =
      '--B\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--B--\r\n';
    expect((await echo('multipart/form-data; boundary=B', body)).json().body).toEqual({
      'List-Unsubscribe': 'One-Click',
    });
  });

  it('counts as an empty form when its multipart cannot be read, and is refused above 64 KB', async () => {
    expect((await echo('multipart/form-data', 'whatever')).json().body).toEqual({});
    expect((await echo('multipart/form-data; boundary=B', Buffer.alloc(65_537))).statusCode).toBe(413);
  });

  it('gets an id of its own, whatever id it brings', async () => {
    const ask = () =>
      http.inject({
        method: 'GET',
        url: '/healthz',
        headers: { 'x-request-id': 'mine', 'request-id': 'mine' },
      });
    const ids = [await ask(), await ask()].map(({ headers }) => headers['x-request-id']);
    expect(new Set(ids).size).toBe(2);
    expect(ids).not.toContain('mine');
  });

  it('reaches a route marked public without a key', async () => {
    expect((await http.inject({ method: 'GET', url: '/api/v1/open-notes' })).json()).toEqual({
      text: 'for everybody',
    });
  });

  it('finds the same page with a slash at the end', async () => {
    expect((await http.inject({ method: 'GET', url: '/healthz/' })).statusCode).toBe(200);
  });
});

describe('the assets', () => {
  it('are served with a type, a tag and an hour of caching, and nothing above them is', async () => {
    const answer = await http.inject({ method: 'GET', url: '/assets/favicon.svg' });
    expect(answer.headers).toMatchObject({
      'content-type': 'image/svg+xml',
      'cache-control': 'public, max-age=3600',
    });
    expect(answer.headers['etag']).toBeTruthy();
    const etag = String(answer.headers['etag']);
    const again = await http.inject({
      method: 'GET',
      url: '/assets/favicon.svg',
      headers: { 'if-none-match': etag },
    });
    expect(again.statusCode).toBe(304);
    for (const url of [
      '/assets/../pages/error.liquid',
      '/assets/%2e%2e/pages/error.liquid',
      '/assets/',
      '/assets/none.css',
    ]) {
      expect((await http.inject({ method: 'GET', url })).statusCode).toBe(404);
    }
  });
});

describe('health', () => {
  it('says that the process is up and that it can serve', async () => {
    expect((await http.inject({ method: 'GET', url: '/healthz' })).json()).toEqual({ status: 'ok' });
    const ready = await http.inject({ method: 'GET', url: '/readyz' });
    expect([ready.statusCode, ready.json()]).toEqual([200, { status: 'ok', criticalAlerts: 0 }]);
  });

  it('is not ready while a migration is still to run', async () => {
    const rows = await http.dataSource.query(
      `with gone as (delete from schema_migration where id = (select max(id) from schema_migration) returning *) select * from gone`,
    );
    const answer = await http.inject({ method: 'GET', url: '/readyz' });
    expect(answer.json()).toMatchObject({ status: 503, code: 'SCHEMA_NOT_READY' });
    for (const { id, timestamp, name } of rows) {
      await http.dataSource.query('insert into schema_migration (id, timestamp, name) values ($1, $2, $3)', [
        id,
        timestamp,
        name,
      ]);
    }
    expect((await http.inject({ method: 'GET', url: '/readyz' })).statusCode).toBe(200);
  });

  it('gives Prometheus its numbers', async () => {
    const answer = await http.inject({ method: 'GET', url: '/metrics' });
    expect(answer.headers['content-type']).toContain('text/plain');
    expect(answer.body).toContain('process_cpu_seconds_total');
  });
});

describe('a database that is gone', () => {
  it('makes the process not ready but leaves it alive', async () => {
    const other = await startHttpApp();
    await other.dataSource.destroy();
    const answer = await other.inject({ method: 'GET', url: '/readyz' });
    expect(answer.json()).toMatchObject({ status: 503, code: 'DATABASE_UNAVAILABLE' });
    expect((await other.inject({ method: 'GET', url: '/healthz' })).statusCode).toBe(200);
    await other.close();
  });
});
