import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ClaimOutcome, IdempotencyKeys } from '../../../src/infra/http/idempotency-keys.js';
import { ErasureService } from '../../../src/privacy/erasure.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { gate, untilWaiting } from '../../support/database.js';
import { newReader } from '../../support/reader.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const erase = async (id: string): Promise<boolean> =>
  t.app.get(ErasureService, { strict: false }).erase(id, 'test');
const keys = (): IdempotencyKeys => t.app.get(IdempotencyKeys, { strict: false });
const claim = async (key: string): Promise<ClaimOutcome> => keys().claim('0', key, key);
const known = async (email: string): Promise<number> =>
  (await t.dataSource.query<unknown[]>('select 1 from subscriber where email_key = $1', [email])).length;

it('leaves nothing of them in the answers kept for an Idempotency-Key: a repeat gave name and address again', async () => {
  const create = (key: string, email: string) =>
    t.http
      .post('/api/v1/subscribers')
      .set({ Authorization: `Bearer ${API_KEY}`, 'Idempotency-Key': key })
      .send({ email, name: 'Kept Answer' });
  const { body } = await create('theirs', 'Kept@Example.com').expect(201);
  await create('other', 'kept-too@example.com').expect(201);
  await erase(body.id);
  const again = await create('theirs', 'Kept@Example.com');
  expect(again.text).not.toMatch(/kept@|Kept Answer/i);
  expect(again).toMatchObject({ status: 410, body: { code: 'IDEMPOTENCY_ANSWER_GONE' } });
  expect(await known('kept@example.com')).toBe(0);
  expect((await create('other', 'kept-too@example.com').expect(201)).body.email).toBe('kept-too@example.com');
});

it('keeps no answer that comes when they are erased already, of a request that read of them before: it stayed for a day', async () => {
  const reader = await newReader(t, 'read-before@example.com');
  const [tells, says, fails] = [await claim('tells'), await claim('says-nothing'), await claim('fails')];
  if (tells.kind !== 'claimed' || says.kind !== 'claimed' || fails.kind !== 'claimed') throw new Error();
  await erase(reader.id);
  expect(await claim('tells')).toEqual({ kind: 'in_progress' });
  await keys().settle(tells.claim, { status: 200, body: { email: reader.email } });
  await keys().settle(says.claim, { status: 204, body: undefined });
  await keys().free(fails.claim);
  expect(await claim('tells')).toEqual({ kind: 'forgotten' });
  expect(await claim('says-nothing')).toMatchObject({ kind: 'answered', answer: { status: 204 } });
  expect(await claim('fails')).toMatchObject({ kind: 'claimed' });
});

it('keeps no such answer either when all ends as soon as they are erased: what forgot it came after that, and was lost', async () => {
  const reader = await newReader(t, 'crash@example.com');
  const before = await claim('before-crash');
  if (before.kind !== 'claimed') throw new Error();
  await t.dataSource.query(
    `create table erased_in (xid xid8);
     create function note_erased() returns trigger language plpgsql as $$ begin
       insert into erased_in values (pg_current_xact_id()); return null; end $$;
     create function end_of_all() returns trigger language plpgsql as $$ begin
       if exists (select from erased_in where xid <> pg_current_xact_id()) then raise 'crash'; end if; return null; end $$;
     create trigger note_erased after delete on subscriber for each row execute function note_erased();
     create trigger end_of_all before update on idempotency_key for each statement execute function end_of_all()`,
  );
  await erase(reader.id).catch(() => undefined);
  await t.dataSource.query('drop function note_erased, end_of_all cascade; drop table erased_in');
  expect(await known(reader.email)).toBe(0);
  await keys().settle(before.claim, { status: 200, body: { email: reader.email } });
  expect(await claim('before-crash')).toEqual({ kind: 'forgotten' });
});

it('lets no request with an Idempotency-Key begin while they are about to be erased: what it read of them was kept for a day', async () => {
  const reader = await newReader(t, 'meanwhile@example.com');
  const hold = await gate(t.dataSource, 'select pg_advisory_xact_lock(4711)');
  await t.dataSource.query(
    `create function waits() returns trigger language plpgsql as $$ begin
       perform pg_advisory_xact_lock(4711); return null; end $$;
     create constraint trigger waits after delete on subscriber deferrable initially deferred for each row execute function waits()`,
  );
  const erasing = erase(reader.id);
  await untilWaiting(t.dataSource, 1, erasing);
  const begun = claim('meanwhile');
  const readThen = begun.then(async () => known(reader.email));
  await untilWaiting(t.dataSource, 2, readThen);
  await hold.open();
  expect(await readThen).toBe(0);
  expect(await erasing).toBe(true);
  await t.dataSource.query('drop function waits cascade');
});
