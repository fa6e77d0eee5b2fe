import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ListsService } from '../../../src/subscribers/lists.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { gate, untilWaiting } from '../../support/database.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const send = (method: 'post' | 'patch' | 'delete', path: string, body: object = {}) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
const idOf = async (table: 'tag' | 'list', name: string): Promise<string> => {
  const column = table === 'tag' ? 'name' : 'key';
  const rows: { id: string }[] = await t.dataSource.query(`select id from ${table} where ${column} = $1`, [
    name,
  ]);
  return rows[0]?.id ?? '';
};
const tagged = async (...tags: string[]): Promise<void> => {
  await send('post', 'subscribers', { email: `${tags.join('.')}@example.com`, tags }).expect(201);
};

describe('tags and lists that something names', () => {
  it('hold against a change while a broadcast leaves people out by the tag', async () => {
    await tagged('customer');
    await send('post', 'broadcasts', {
      ...{ title: 'For the others', template: 'emails/story' },
      sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' },
      audience: { tags: { none: ['customer'] } },
    }).expect(201);
    const id = await idOf('tag', 'customer');
    const refused = [
      await send('delete', `tags/${id}`).expect(409),
      await send('patch', `tags/${id}`, { name: 'buyer' }).expect(409),
    ];
    for (const { body } of refused) expect(body.detail).toContain('the broadcast "For the others"');
  });

  it('hold while rows of an import that is under way name them', async () => {
    await tagged('spring');
    await send('post', 'lists', { key: 'fresh', title: 'Fresh' }).expect(201);
    await t.dataSource.query(
      `with job as (insert into import_job (file_name, state, dry_run, options, created_at)
         values ('spring.csv', 'running', false, '{}', now()) returning id)
       insert into import_row (import_id, line, tags, lists) select id, 1, '{spring}', '{fresh}' from job`,
    );
    const refused = [
      await send('delete', `tags/${await idOf('tag', 'spring')}`).expect(409),
      await send('delete', `lists/${await idOf('list', 'fresh')}`).expect(409),
    ];
    for (const { body } of refused) expect(body.detail).toContain('the import "spring.csv"');
    await t.dataSource.query('delete from import_job');
    await send('delete', `tags/${await idOf('tag', 'spring')}`).expect(204);
  });

  it('keep their segments when two rename a tag at the same moment', async () => {
    await tagged('first');
    const conditions = { tag: 'first' };
    const { body } = await send('post', 'segments', { key: 'named', title: 'Named', conditions }).expect(201);
    const id = await idOf('tag', 'first');
    const held = await gate(t.dataSource, 'select 1 from tag where id = $1 for update', [id]);
    const both = Promise.all(
      ['second', 'third'].map(async (name) => send('patch', `tags/${id}`, { name }).expect(200)),
    );
    await untilWaiting(t.dataSource, 2, both);
    await held.open();
    await both;
    const [tag]: { name: string }[] = await t.dataSource.query('select name from tag where id = $1', [id]);
    const [segment]: { conditions: unknown }[] = await t.dataSource.query(
      'select conditions from segment where id = $1',
      [body.id],
    );
    expect(segment?.conditions).toEqual({ tag: tag?.name });
  });
});

/** As config/data-source.ts has it. */
const POOL_SIZE = 20;

describe('a list that people join on the page of their preferences', () => {
  it('needs no second connection: of many at once each held one and waited for another, and all stood still', async () => {
    await send('post', 'lists', { key: 'sunday', title: 'Sunday', isPublic: true }).expect(201);
    const { body } = await send('post', 'subscribers', { email: 'sun@example.com' }).expect(201);
    const [list, lists] = [await idOf('list', 'sunday'), t.app.get(ListsService, { strict: false })];
    const others = Array.from({ length: POOL_SIZE - 1 }, () => t.dataSource.createQueryRunner());
    for (const other of others) await other.connect();
    try {
      await t.dataSource.transaction(async (manager) => {
        await lists.add(list, String(body.id), manager);
        await lists.remove(list, String(body.id), manager);
      });
    } finally {
      for (const other of others) await other.release();
    }
    expect(await t.dataSource.query('select kind from list_signal')).toEqual([]);
  });
});
