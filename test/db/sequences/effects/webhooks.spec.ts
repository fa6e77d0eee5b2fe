import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebhooksService } from '../../../../src/sequences/effects/webhooks.service.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';

interface Posted {
  headers: IncomingHttpHeaders;
  body: string;
}

describe('webhooks of sequences', () => {
  let t: Course;
  let server: Server;
  let url: string;
  const posted: Posted[] = [];
  let answers: number[] = [];
  beforeAll(async () => {
    t = await openCourse({ WEBHOOK_PRIVATE_NETWORKS: 'true' });
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        posted.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
        response.writeHead(answers.shift() ?? 200, { location: 'http://127.0.0.1:1/' }).end();
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  });
  afterAll(async () => {
    server?.close();
    await t?.test.close();
  });
  afterEach(async () => {
    posted.length = 0;
    answers = [];
    await t.clear();
  });

  const deliver = async (): Promise<number> =>
    t.test.app.get(WebhooksService, { strict: false }).deliverDue();
  const begin = async (): Promise<string> => {
    await t.publish(`- { key: tell, webhook: "${url}" }`);
    const id = await t.person('reader@example.com', { fields: { city: 'Berlin' }, tags: ['vip'] });
    await t.enroll(id);
    await t.run();
    return id;
  };
  const rows = async (): Promise<Record<string, unknown>[]> =>
    t.db.query(
      'select state, attempt, status_code as status, reason, due_at as "dueAt" from webhook_delivery',
    );

  it('posts who came by, signed as Standard Webhooks say', async () => {
    const id = await begin();
    expect(await deliver()).toBe(1);
    expect(await deliver()).toBe(0);
    const [{ headers, body } = { headers: {}, body: '' }] = posted;
    expect(JSON.parse(body)).toMatchObject({
      type: 'sequence.step',
      sequence: 'course',
      step: 'tell',
      at: '2026-01-05T09:00:00.000Z',
      subscriber: {
        id,
        email: 'reader@example.com',
        name: 'Reader',
        fields: { city: 'Berlin' },
        tags: ['vip'],
      },
    });
    const answer = await t.test.http
      .get('/api/v1/webhooks/signing-key')
      .set('Authorization', `Bearer ${API_KEY}`);
    const key = Buffer.from((answer.body as { key: string }).key.replace('whsec_', ''), 'base64');
    const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
    const signature = createHmac('sha256', key).update(signed).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${signature}`);
    expect(headers['webhook-timestamp']).toBe(String(t.clock.now().getTime() / 1000));
    expect(await rows()).toMatchObject([{ state: 'delivered', attempt: 1, status: 200, reason: null }]);
    const list = await t.test.http.get('/api/v1/webhooks').set('Authorization', `Bearer ${API_KEY}`);
    expect((list.body as { data: unknown[] }).data).toMatchObject([{ stepKey: 'tell', state: 'delivered' }]);
  });

  it('tries again, later each time, with the same id, and follows no redirect', async () => {
    await begin();
    answers = [500, 302];
    await deliver();
    expect(await rows()).toMatchObject([
      { state: 'waiting', reason: 'answered 500', dueAt: new Date('2026-01-05T09:01:00Z') },
    ]);
    expect(await deliver()).toBe(0);
    t.clock.set('2026-01-05T09:01:00Z');
    await deliver();
    expect(await rows()).toMatchObject([
      { state: 'waiting', reason: 'answered 302', dueAt: new Date('2026-01-05T09:06:00Z') },
    ]);
    t.clock.set('2026-01-05T09:06:00Z');
    await deliver();
    expect(await rows()).toMatchObject([{ state: 'delivered', attempt: 3 }]);
    expect(new Set(posted.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  it('gives up after two days, or at once when the receiver is gone, and tells the owner', async () => {
    await begin();
    answers = Array.from({ length: 9 }, () => 503);
    for (let tries = 0; tries < 9; tries++) {
      expect(await deliver()).toBe(1);
      t.clock.advance(86_400_000);
    }
    expect(await rows()).toMatchObject([{ state: 'failed', attempt: 9, reason: 'answered 503' }]);
    const alerts = async (): Promise<unknown[]> =>
      t.db.query(`select key from alert where resolved_at is null and key like 'webhook:%'`);
    expect(await alerts()).toEqual([{ key: 'webhook:course:tell' }]);
    // Until one arrives again.
    await t.enroll(await t.person('second@example.com'));
    await t.run();
    answers = [];
    expect(await deliver()).toBe(1);
    expect(await alerts()).toEqual([]);
    await t.clear();
    await begin();
    answers = [410];
    await deliver();
    expect(await rows()).toMatchObject([{ state: 'failed', attempt: 1 }]);
  });

  it('says nothing about somebody who was erased meanwhile', async () => {
    await begin();
    await t.db.query('delete from subscriber');
    await deliver();
    expect(posted).toEqual([]);
    expect(await rows()).toMatchObject([{ state: 'failed', reason: 'the person was erased' }]);
  });

  it('posts once however many workers look', async () => {
    await begin();
    await Promise.all([deliver(), deliver(), deliver()]);
    expect(posted).toHaveLength(1);
  });
});

describe('webhooks without leave to go inside', () => {
  it.each([
    'http://127.0.0.1:9/hook',
    'http://169.254.169.254/latest',
    'https://example.com:8443/',
    'http://localhost/',
  ])('are refused: %s', async (url) => {
    const { SafeFetch } = await import('../../../../src/infra/safe-fetch.js');
    const fetch = new SafeFetch('', async () => [{ address: '127.0.0.1', family: 4 }]);
    expect(await fetch.post(url, { headers: {}, body: '{}' })).toMatchObject({ kind: 'refused' });
    await fetch.close();
  });
});
