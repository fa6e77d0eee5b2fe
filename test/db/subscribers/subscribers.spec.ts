import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressHash } from '../../../src/subscribers/address-hash.js';
import { SubscribersService } from '../../../src/subscribers/subscribers.service.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { parseEmailAddress } from '../../../src/values/email-address.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { defineOwnFields } from '../../support/own-fields.js';

let t: TestApp;
let subscribers: SubscribersService;
let suppressions: SuppressionsService;
beforeAll(async () => {
  t = await startTestApp();
  subscribers = t.app.get(SubscribersService);
  suppressions = t.app.get(SuppressionsService);
  await defineOwnFields(t.dataSource, { plan: 'text', a: 'number', b: 'number' });
});
afterAll(async () => t.close());

const address = (text: string) => {
  const email = parseEmailAddress(text);
  if (!email.ok) throw new Error(email.reason);
  return email;
};
const make = async (text: string): Promise<string> =>
  (await subscribers.upsert(t.dataSource.manager, { email: address(text) })).id;
const inStatus = async (text: string, status: string): Promise<string> => {
  const id = await make(text);
  await t.dataSource.query('update subscriber set status = $2 where id = $1', [id, status]);
  return id;
};
const consents = async (id: string): Promise<{ kind: string; purpose: string }[]> =>
  t.dataSource.query('select kind, purpose from consent_event where subscriber_id = $1 order by id', [id]);
const tx = <T>(work: (manager: TestApp['dataSource']['manager']) => Promise<T>): Promise<T> =>
  t.dataSource.transaction(work);

describe('subscribers', () => {
  it('are one per address, and a second sign-up fills gaps without renaming anybody', async () => {
    const { manager } = t.dataSource;
    const first = await subscribers.upsert(manager, { email: address('Ada@Example.com'), name: 'Ada' });
    const second = await subscribers.upsert(manager, {
      email: address('ada@example.com'),
      name: 'Mallory',
      timeZone: 'Europe/Berlin',
    });
    expect(first).toMatchObject({ status: 'pending', created: true });
    expect(second).toEqual({ id: first.id, status: 'pending', created: false });
    expect(await subscribers.find(first.id)).toMatchObject({ name: 'Ada', timeZone: 'Europe/Berlin' });
  });

  it('unsubscribe once: status, suppression and evidence, however often it is asked', async () => {
    const id = await inStatus('leaver@example.com', 'active');
    expect(await tx((m) => subscribers.unsubscribe(m, id, 'one_click'))).toBe(true);
    expect(await tx((m) => subscribers.unsubscribe(m, id, 'page'))).toBe(false);
    expect(await consents(id)).toEqual([{ kind: 'withdrawn', purpose: 'marketing' }]);
    expect(await suppressions.of('leaver@example.com')).toMatchObject([
      { scope: 'marketing', reason: 'unsubscribed', source: 'one_click' },
    ]);
  });

  it('come back by agreeing anew, which lifts what unsubscribing had put there and nothing else', async () => {
    const id = await inStatus('returner@example.com', 'active');
    await tx((m) => subscribers.unsubscribe(m, id, 'page'));
    await suppressions.add(t.dataSource.manager, {
      emailKey: 'returner@example.com',
      scope: 'all',
      reason: 'manual',
      source: 'test',
    });
    expect(await tx((m) => subscribers.activate(m, id))).toBe('left');
    await tx((m) =>
      subscribers.recordConsent(m, { subscriberId: id, kind: 'granted', purpose: 'marketing' }),
    );
    expect(await tx((m) => subscribers.activate(m, id))).toBe('activated');
    expect(await tx((m) => subscribers.activate(m, id))).toBe('already_active');
    expect(await suppressions.of('returner@example.com')).toMatchObject([{ scope: 'all', reason: 'manual' }]);
  });

  it.each(['bounced', 'complained'])('stay %s, whoever confirms', async (status) => {
    const emailKey = `${status}@example.com`;
    const id = await inStatus(emailKey, status);
    const reason = status === 'bounced' ? 'hard_bounce' : 'complaint';
    await tx((m) => suppressions.add(m, { emailKey, scope: 'all', reason, source: 'test' }));
    expect(await tx((m) => subscribers.activate(m, id))).toBe('refused');
    await tx((m) => subscribers.unsubscribe(m, id, 'page'));
    expect((await subscribers.get(id)).status).toBe(status);
  });

  it('leave nothing but the hash of the address when erased', async () => {
    const id = await inStatus('erased@example.com', 'active');
    await tx((m) => subscribers.tag(m, id, 'vip'));
    await tx((m) => subscribers.erase(m, id, 'test'));
    await tx((m) => subscribers.erase(m, id, 'test'));
    expect(await subscribers.find(id)).toBeNull();
    expect(await suppressions.of('erased@example.com')).toMatchObject([{ scope: 'all', reason: 'erased' }]);
  });

  it('are hashed with the secret, so that the list cannot be turned back by trying addresses', () => {
    const hashes = [1, 2].map((byte) =>
      addressHash(Buffer.alloc(32, byte), 'ada@example.com').toString('hex'),
    );
    expect(new Set(hashes).size).toBe(2);
  });
});

describe('the subscribers API', () => {
  const api = (method: 'get' | 'post' | 'patch' | 'delete', path: string) =>
    t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);

  it('creates as pending with evidence and tags, finds by address, and refuses the same address twice', async () => {
    const body = {
      email: 'API@example.com',
      name: 'Api',
      timeZone: 'europe/berlin',
      tags: ['import'],
      fields: { plan: 'pro' },
      consent: { text: 'Send me tips', at: '2025-01-01T00:00:00Z', ip: '203.0.113.9' },
    };
    const { body: made } = await api('post', 'subscribers').send(body).expect(201);
    expect(made).toMatchObject({
      status: 'pending',
      tags: ['import'],
      timeZone: 'Europe/Berlin',
      fields: { plan: 'pro' },
    });
    expect(await consents(made.id)).toEqual([{ kind: 'granted', purpose: 'marketing' }]);
    const found = await api('get', 'subscribers?email=api@EXAMPLE.com').expect(200);
    expect(found.body).toMatchObject({ data: [{ id: made.id }], nextCursor: null });
    const again = await api('post', 'subscribers').send(body).expect(409);
    expect(again.body.code).toBe('SUBSCRIBER_ALREADY_EXISTS');
    expect(await consents(made.id)).toHaveLength(1);
  });

  it('changes what is named, empties what is null, and names a wrong field', async () => {
    const id = await make('patch@example.com');
    await api('patch', `subscribers/${id}`)
      .send({ name: 'Pat', fields: { a: 1, b: 2 } })
      .expect(200);
    const { body } = await api('patch', `subscribers/${id}`)
      .send({ name: null, fields: { a: null } })
      .expect(200);
    expect(body).toMatchObject({ name: null, fields: { b: 2 } });
    const refused = await api('patch', `subscribers/${id}`).send({ timeZone: 'Mars/Olympus' }).expect(422);
    expect(refused.body.errors).toMatchObject([{ field: 'timeZone' }]);
    await api('patch', 'subscribers/999999').send({ name: 'x' }).expect(404);
  });

  it('tags, takes tags off and lists them', async () => {
    const id = await make('tags@example.com');
    await api('post', `subscribers/${id}/tags`).send({ name: 'a b' }).expect(200);
    await api('post', `subscribers/${id}/tags`).send({ name: 'a b' }).expect(200);
    const { body } = await api('get', 'tags').expect(200);
    expect(body.data.find(({ name }: { name: string }) => name === 'a b')).toMatchObject({ subscribers: 1 });
    const off = await api('delete', `subscribers/${id}/tags/a%20b`).expect(200);
    expect(off.body.tags).toEqual([]);
  });

  it('unsubscribes', async () => {
    const id = await inStatus('by-api@example.com', 'active');
    const { body } = await api('post', `subscribers/${id}/unsubscribe`).expect(200);
    expect(body.status).toBe('unsubscribed');
    await api('post', 'subscribers/999999/unsubscribe').expect(404);
  });

  it('suppresses by hand, and lets only that be taken back', async () => {
    const { body } = await api('post', 'suppressions').send({ email: 'no@example.com' }).expect(201);
    expect(body).toMatchObject({ scope: 'all', reason: 'manual' });
    await api('delete', `suppressions/${body.id}`).expect(204);
    const id = await inStatus('own-word@example.com', 'active');
    await tx((m) => subscribers.unsubscribe(m, id, 'page'));
    const [own] = await suppressions.of('own-word@example.com');
    await api('delete', `suppressions/${own?.id}`).expect(409);
    expect(await suppressions.of('own-word@example.com')).toHaveLength(1);
  });

  it('keeps who was erased or has complained out for good, also where the owner had blocked them by hand before', async () => {
    const { body } = await api('post', 'suppressions').send({ email: 'gone@example.com' }).expect(201);
    const entry = { emailKey: 'gone@example.com', scope: 'all', source: 'page' } as const;
    await suppressions.add(t.dataSource.manager, { ...entry, reason: 'erased' });
    await suppressions.add(t.dataSource.manager, { ...entry, reason: 'manual' });
    await api('delete', `suppressions/${body.id}`).expect(409);
    expect(await suppressions.of('gone@example.com')).toMatchObject([{ reason: 'erased', source: 'page' }]);
    const blocked = { emailKey: 'blocked@example.com', scope: 'marketing', source: 'api' } as const;
    await suppressions.add(t.dataSource.manager, { ...blocked, reason: 'manual' });
    await suppressions.add(t.dataSource.manager, { ...blocked, reason: 'unsubscribed' });
    expect(await suppressions.of('blocked@example.com')).toMatchObject([{ reason: 'manual' }]);
  });

  it('pages through everybody exactly once', async () => {
    const seen: string[] = [];
    let cursor: string | null = '';
    do {
      const next: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const answer: Response = await api('get', `subscribers?limit=3${next}`).expect(200);
      const page = answer.body as { data: { id: string }[]; nextCursor: string | null };
      seen.push(...page.data.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== null);
    const [{ count }] = await t.dataSource.query('select count(*)::int as count from subscriber');
    expect(seen).toHaveLength(count);
    expect(new Set(seen).size).toBe(count);
  });
});
