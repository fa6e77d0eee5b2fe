import { Body, Controller, Get, Post, Put } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ApiKeysService } from '../../../../src/infra/access/api-keys.service.js';
import { ApiRoute } from '../../../../src/infra/http/api-route.js';
import { IdempotencyKeys } from '../../../../src/infra/http/idempotency-keys.js';
import { DomainError } from '../../../../src/values/domain-error.js';
import { ENVIRONMENT_KEY, type HttpApp, startHttpApp } from './http-app.js';

const widget = z.strictObject({ name: z.string().min(1) });
const answer = z.object({ id: z.string(), name: z.string() });

/** What the routes did, and how the next call shall end. */
const work = { done: 0, fail: null as Error | null, hold: null as Promise<void> | null, entered: () => {} };

@Controller('/api/v1/widgets')
class WidgetsController {
  @Post()
  @ApiRoute({ summary: 'Make', tag: 'Widgets', response: answer, example: { name: 'cog' } })
  async make(@Body({ schema: widget }) { name }: z.output<typeof widget>): Promise<z.output<typeof answer>> {
    work.entered();
    await work.hold;
    if (work.fail) throw work.fail;
    work.done += 1;
    return { id: String(work.done), name };
  }

  @Put()
  @ApiRoute({ summary: 'Touch', tag: 'Widgets', response: null })
  touch(): void {
    work.done += 1;
  }

  @Get()
  @ApiRoute({ summary: 'Count', tag: 'Widgets', response: z.object({ done: z.int() }) })
  count(): { done: number } {
    work.done += 1;
    return { done: work.done };
  }
}

let http: HttpApp;
let nextKey = 0;

beforeAll(async () => {
  http = await startHttpApp([WidgetsController]);
});
afterAll(() => http.close());
beforeEach(() => {
  Object.assign(work, { done: 0, fail: null, hold: null, entered: () => {} });
});

const newKey = () => `key-${++nextKey}`;
function send(
  key: string | undefined,
  payload: object = { name: 'a' },
  options: { apiKey?: string; method?: 'POST' | 'PUT' | 'GET' } = {},
) {
  const { apiKey = ENVIRONMENT_KEY, method = 'POST' } = options;
  return http.inject({
    method,
    url: '/api/v1/widgets',
    headers: { authorization: `Bearer ${apiKey}`, ...(key === undefined ? {} : { 'idempotency-key': key }) },
    ...(method === 'POST' ? { payload } : {}),
  });
}
const rowOf = async (key: string) =>
  (await http.dataSource.query('select * from idempotency_key where key = $1', [key]))[0];

describe('Idempotency-Key', () => {
  it('replays the first answer instead of doing the work again', async () => {
    const key = newKey();
    const first = await send(key);
    const second = await send(key);
    expect(first.statusCode).toBe(201);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect([second.statusCode, second.body]).toEqual([201, first.body]);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.headers['content-type']).toBe(first.headers['content-type']);
    expect(work.done).toBe(1);
  });

  it('does the work each time without a key, and for a GET with one', async () => {
    await send(undefined);
    await send(undefined);
    const key = newKey();
    await send(key, {}, { method: 'GET' });
    await send(key, {}, { method: 'GET' });
    expect(work.done).toBe(4);
  });

  it('replays an answer without body', async () => {
    const key = newKey();
    await send(key, {}, { method: 'PUT' });
    const again = await send(key, {}, { method: 'PUT' });
    expect([again.statusCode, again.body, again.headers['idempotency-replayed']]).toEqual([204, '', 'true']);
    expect(work.done).toBe(1);
  });

  it('refuses the key for another body or another method', async () => {
    const key = newKey();
    await send(key);
    for (const other of [await send(key, { name: 'b' }), await send(key, {}, { method: 'PUT' })]) {
      expect(other.json()).toMatchObject({ status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
    }
    expect(work.done).toBe(1);
  });

  it('keeps the keys of two callers apart', async () => {
    const { key: apiKey } = await http.app.get(ApiKeysService).create('second caller');
    const key = newKey();
    await send(key);
    const other = await send(key, { name: 'b' }, { apiKey });
    expect([other.statusCode, work.done]).toEqual([201, 2]);
  });

  it('answers 409 while the first request is still running, and the answer afterwards', async () => {
    const key = newKey();
    let release = (): void => {};
    work.hold = new Promise((resolve) => (release = resolve));
    const entered = new Promise<void>((resolve) => (work.entered = resolve));
    const first = send(key);
    await entered;
    const meanwhile = await send(key);
    expect(meanwhile.json()).toMatchObject({ status: 409, code: 'IDEMPOTENCY_IN_PROGRESS' });
    expect(meanwhile.headers['retry-after']).toBe('1');
    release();
    expect((await first).statusCode).toBe(201);
    expect((await send(key)).headers['idempotency-replayed']).toBe('true');
    expect(work.done).toBe(1);
  });

  it('does the work once when ten requests come at the same time', async () => {
    const key = newKey();
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(key)));
    expect(work.done).toBe(1);
    for (const { statusCode, body } of answers) {
      if (statusCode === 201) expect(JSON.parse(body)).toEqual({ id: '1', name: 'a' });
      else expect(JSON.parse(body).code).toBe('IDEMPOTENCY_IN_PROGRESS');
    }
    expect(answers.some(({ statusCode }) => statusCode === 201)).toBe(true);
  });

  it('frees the key after a failure of ours, so that the repeat does the work', async () => {
    const key = newKey();
    work.fail = new Error('the disk is full');
    expect((await send(key)).statusCode).toBe(500);
    expect(await rowOf(key)).toBeUndefined();
    work.fail = null;
    const again = await send(key);
    expect([again.statusCode, work.done]).toEqual([201, 1]);
  });

  it('frees the key after "too many", which decides nothing', async () => {
    const key = newKey();
    work.fail = new DomainError('WIDGETS_RATE_LIMITED', 'Slow down', { retryAfterSeconds: 12.2 });
    const limited = await send(key);
    expect([limited.statusCode, limited.headers['retry-after']]).toEqual([429, '13']);
    work.fail = null;
    expect((await send(key)).statusCode).toBe(201);
  });

  it('replays a refusal as the same problem', async () => {
    const key = newKey();
    work.fail = new DomainError('WIDGET_ALREADY_MADE', 'It is there');
    const refused = await send(key);
    work.fail = null;
    const again = await send(key);
    expect([again.statusCode, again.headers['content-type']]).toEqual([409, 'application/problem+json']);
    const instance = `urn:uuid:${String(again.headers['x-request-id'])}`;
    expect(again.json()).toEqual({ ...refused.json(), instance });
    expect(refused.json().instance).not.toBe(instance);
    expect(work.done).toBe(0);
  });

  it('lets a repeat take over from a process that died a minute ago, but no other request', async () => {
    const key = newKey();
    await send(key);
    // What a killed process leaves behind: the row without its answer.
    await http.dataSource.query(
      'update idempotency_key set status = null, response = null, finished_at = null where key = $1',
      [key],
    );
    http.clock.advance(60_000);
    expect((await send(key)).json().code).toBe('IDEMPOTENCY_IN_PROGRESS');
    http.clock.advance(1);
    expect((await send(key, { name: 'b' })).json().code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect((await send(key)).statusCode).toBe(201);
    expect(work.done).toBe(2);
  });

  it('does not let a request that was taken over write its late answer', async () => {
    const keys = http.app.get(IdempotencyKeys);
    const key = newKey();
    const slow = await keys.claim('0', key, 'request');
    http.clock.advance(60_001);
    const fast = await keys.claim('0', key, 'request');
    if (slow.kind !== 'claimed' || fast.kind !== 'claimed') throw new Error('both should have been claimed');
    await keys.settle(slow.claim, { status: 200, body: 'late' });
    await keys.free(slow.claim);
    expect(await keys.claim('0', key, 'request')).toEqual({ kind: 'in_progress' });
    await keys.settle(fast.claim, { status: 200, body: 'in time' });
    expect(await keys.claim('0', key, 'request')).toMatchObject({
      kind: 'answered',
      answer: { body: 'in time' },
    });
  });

  it('forgets a key after 24 hours', async () => {
    const key = newKey();
    await send(key);
    http.clock.advance(24 * 3_600_000);
    expect((await send(key)).headers['idempotency-replayed']).toBe('true');
    http.clock.advance(1);
    expect((await send(key, { name: 'b' })).statusCode).toBe(201);
    http.clock.advance(24 * 3_600_000 + 1);
    expect(await http.app.get(IdempotencyKeys).removeExpired()).toBeGreaterThan(0);
    expect(await rowOf(key)).toBeUndefined();
  });

  it('replays a new API key in full without keeping it in the clear', async () => {
    const make = () =>
      http.inject({
        method: 'POST',
        url: '/api/v1/api-keys',
        headers: { authorization: `Bearer ${ENVIRONMENT_KEY}`, 'idempotency-key': 'make-a-key' },
        payload: { name: 'repeated' },
      });
    const first = (await make()).json();
    expect((await make()).json()).toEqual(first);
    expect(JSON.stringify(await rowOf('make-a-key'))).not.toContain(first.key.slice(12));
  });

  it.each(['', 'with space', 'ümlaut', 'x'.repeat(256)])('refuses %j as a key', async (key) => {
    expect((await send(key)).json()).toMatchObject({ status: 422, code: 'IDEMPOTENCY_KEY_INVALID' });
    expect(work.done).toBe(0);
  });
});

describe('a body whose objects stand in each other without end', () => {
  it('with a key was a failure of ours: it is refused', async () => {
    const refused = await http.inject({
      method: 'POST',
      url: '/api/v1/widgets',
      headers: {
        ...{ authorization: `Bearer ${ENVIRONMENT_KEY}`, 'idempotency-key': newKey() },
        'content-type': 'application/json',
      },
      payload: `${'{"a":'.repeat(60_000)}1${'}'.repeat(60_000)}`,
    });
    expect([refused.statusCode, refused.json().code]).toEqual([422, 'REQUEST_INVALID']);
  });
});
