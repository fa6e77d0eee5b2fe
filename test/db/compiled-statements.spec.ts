import { expect, it } from 'vitest';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { pgPool } from '../../src/infra/database/pg-pool.js';
import { createTestDatabase } from '../support/database.js';

it('no connection lets PostgreSQL compile statements, which took many times as long as to run them', async () => {
  const database = await createTestDatabase();
  const dataSource = await openDataSource(database.url);
  try {
    const clients = await Promise.all([1, 2, 3].map(async () => pgPool(dataSource).connect()));
    const found = await Promise.all(
      clients.map(async (client) => (await client.query<{ jit: string }>('show jit')).rows[0]?.jit),
    );
    for (const client of clients) client.release();
    expect(found).toEqual(['off', 'off', 'off']);
    expect(await dataSource.query('show jit')).toEqual([{ jit: 'off' }]);
  } finally {
    await dataSource.destroy();
    await database.drop();
  }
});
