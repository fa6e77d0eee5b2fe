import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DataSource, EntityManager } from 'typeorm';
import { doEachTaken } from '../../src/infra/database/each-taken.js';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { heldBytes } from '../support/held-bytes.js';

const ROWS = 300;
const MB = 1_000_000;

let database: TestDatabase;
let db: DataSource;
beforeAll(async () => {
  database = await createTestDatabase();
  db = await openDataSource(database.url);
  await db.query(`create table work as select n as id from generate_series(1, ${ROWS}) n`);
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

async function takeOne(manager: EntityManager, after: number | null): Promise<number | undefined> {
  const [rows]: [{ id: number }[], number] = await manager.query(
    'delete from work where id = (select min(id) from work where id > $1) returning id',
    [after ?? 0],
  );
  return rows[0]?.id;
}

it('work that fails for everybody, as with a full disk, is kept in memory once: 20,000 of them took 113 MB', async () => {
  const before = heldBytes();
  let held = 0;
  const done = doEachTaken<number>(db, new AbortController().signal, async (manager, after) => {
    const key = await takeOne(manager, after);
    if (key === undefined) return null;
    if (key === ROWS) held = heldBytes() - before;
    return {
      key,
      work: async () => void (await manager.query('select 1 / $1::int, $2', [0, `${key}`.padEnd(MB / 5)])),
    };
  });
  await expect(done).rejects.toThrow(`${ROWS} of them have to wait: QueryFailedError: division by zero`);
  expect(await db.query('select count(*)::int as left from work')).toEqual([{ left: ROWS }]);
  expect(held).toBeLessThan(10 * MB);
});
