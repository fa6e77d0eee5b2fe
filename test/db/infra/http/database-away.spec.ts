import { createServer } from 'node:net';
import { Controller, Get, Inject } from '@nestjs/common';
import type { ClientConfig } from 'pg';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dataSourceOptions } from '../../../../config/data-source.js';
import { PromptClient } from '../../../../src/infra/database/stall-watch.js';
import { type HttpApp, startHttpApp } from './http-app.js';

/** As ours; only its patience is shorter. */
class HastyClient extends PromptClient {
  constructor(config: ClientConfig) {
    super({ ...config, connectionTimeoutMillis: 300 });
  }
}

/** Where the next request looks for a database. */
let elsewhere: string;

@Controller()
class AskingController {
  constructor(@Inject(DataSource) private readonly db: DataSource) {}

  @Get('/elsewhere')
  async elsewhere(): Promise<void> {
    const options = dataSourceOptions(elsewhere);
    await new DataSource({ ...options, extra: { ...options.extra, Client: HastyClient } }).initialize();
  }

  @Get('/miscounted')
  async miscounted(): Promise<unknown> {
    return this.db.query('select $1::int, $2::int', [1]);
  }

  @Get('/ended')
  async ended(): Promise<unknown> {
    return this.db.query('select pg_terminate_backend(pg_backend_pid())');
  }

  @Get('/crowded')
  async crowded(): Promise<unknown> {
    return this.db.query(
      `do $$ begin raise exception 'too many connections' using errcode = '53300'; end $$`,
    );
  }

  @Get('/full')
  async full(): Promise<unknown> {
    return this.db.query(`do $$ begin raise exception 'no room' using errcode = '53100'; end $$`);
  }

  @Get('/beyond-limit')
  async beyondLimit(): Promise<unknown> {
    return this.db.transaction(async (manager) => {
      await manager.query(`set local work_mem = '64kB'; set local temp_file_limit = '64kB'`);
      return manager.query(
        'select max(n) from (select n from generate_series(1, 300000) n order by -n offset 1) s',
      );
    });
  }

  @Get('/lost')
  async lost(): Promise<unknown> {
    return this.db.transaction(async (manager) => {
      await manager.query('select pg_terminate_backend(pg_backend_pid())').catch(() => undefined);
      return manager.query('select 1');
    });
  }
}

let http: HttpApp;
const bugs: string[] = [];
const warnings: string[] = [];

beforeAll(async () => {
  http = await startHttpApp([AskingController]);
  http.app.useLogger({
    log: () => {},
    warn: (line: unknown) => warnings.push(String(line)),
    error: (line: unknown) => bugs.push(String(line)),
  });
});
afterAll(() => http.close());
beforeEach(() => {
  bugs.length = 0;
});

const answerOf = async (url: string): Promise<unknown[]> => {
  const answer = await http.inject({ method: 'GET', url });
  return [answer.statusCode, answer.headers['retry-after'], answer.json<{ code: string }>().code];
};
const AWAY = [503, '60', 'DATABASE_UNAVAILABLE'];

describe('a request while the database is away', () => {
  it.each([
    ['refuses connections', 'postgres://a:b@127.0.0.1:1/c'],
    ['has a name that does not resolve', 'postgres://a:b@there-is-none.invalid/c'],
    ['has no socket', 'postgres://a:b@%2Fnowhere/c'],
    ['is one of a name with two addresses', 'postgres://a:b@localhost:1/c'],
  ])('is asked for patience where it %s, and it is no bug', async (_, url) => {
    elsewhere = url;
    expect(await answerOf('/elsewhere')).toEqual(AWAY);
    expect(bugs).toEqual([]);
  });

  it.each([
    ['swallows all packets', false],
    ['ends each connection before a word', true],
  ])('is asked for patience where it %s', async (_, ends) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      if (ends) socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    elsewhere = `postgres://a:b@127.0.0.1:${typeof address === 'object' ? address?.port : ''}/c`;
    expect(await answerOf('/elsewhere')).toEqual(AWAY);
    server.close();
    expect(bugs).toEqual([]);
  });

  it.each(['/ended', '/crowded', '/lost', '/full'])(
    'is asked for patience where it stops or is full (%s)',
    async (url) => {
      expect(await answerOf(url)).toEqual(AWAY);
      expect(bugs).toEqual([]);
    },
  );

  it('tells the log once a minute', () => {
    expect(warnings).toEqual([expect.stringContaining('The database is away: connect ECONNREFUSED')]);
  });
});

describe('a statement of ours with a value too few', () => {
  it('is a bug and stands in the log: it was called an outage, and nobody heard of it', async () => {
    expect(await answerOf('/miscounted')).toEqual([500, undefined, 'INTERNAL_ERROR']);
    expect(bugs).toEqual([expect.stringContaining('GET /miscounted failed')]);
  });
});

describe('a statement that is beyond a limit of the database', () => {
  it('stands in the log: it was taken for a full disk, and the owner heard nothing of the limit', async () => {
    expect(await answerOf('/beyond-limit')).toEqual([500, undefined, 'INTERNAL_ERROR']);
    expect(bugs).toEqual([expect.stringContaining('GET /beyond-limit failed')]);
  });
});
