import type { ClientBase } from 'pg';
import type { DataSourceOptions } from 'typeorm';
import { commitDurably } from '../src/infra/database/durable-commits.js';
import { migrations } from '../src/infra/database/migrations.js';
import { compileNothing } from '../src/infra/database/jit-off.js';
import { PromptClient, StallWatch } from '../src/infra/database/stall-watch.js';

/** Shared by the application, the commands and the tests. The schema only ever changes by a migration. */
export function dataSourceOptions(url: string, poolSize = 20): DataSourceOptions {
  const watch = new StallWatch(url);
  const onConnect = async (client: ClientBase): Promise<void> => {
    watch.onConnect(client);
    await commitDurably(client);
    await compileNothing(client);
  };
  return {
    type: 'postgres',
    url,
    entities: [],
    migrations,
    migrationsTableName: 'schema_migration',
    migrationsTransactionMode: 'each',
    synchronize: false,
    logging: false,
    poolSize,
    extra: { application_name: 'wellspring', Client: PromptClient, onConnect },
  };
}
