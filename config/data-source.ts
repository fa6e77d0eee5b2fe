import type { DataSourceOptions } from 'typeorm';
import { migrations } from '../src/infra/database/migrations.js';
import { ourConnection } from '../src/infra/database/our-connection.js';
import { PromptClient } from '../src/infra/database/stall-watch.js';

/** Shared by the application, the commands and the tests. The schema only ever changes by a migration. */
export function dataSourceOptions(url: string, poolSize = 20): DataSourceOptions {
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
    extra: { application_name: 'wellspring', Client: PromptClient, onConnect: ourConnection(url) },
  };
}
