import type { DataSourceOptions } from 'typeorm';
import { onConnect } from '../src/infra/database/pg-pool.js';
import { migrations } from '../src/infra/database/migrations.js';

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
    extra: { application_name: 'wellspring', onConnect },
  };
}
