import { type DynamicModule, Module } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { TypeOrmModule } from '@nestjs/typeorm';
import { dataSourceOptions } from '../../../config/data-source.js';
import { openDataSource } from './migrate.js';

/** Provides the one `DataSource`. It is opened before the application, so that a missing database is said plainly. */
@Module({})
export class DatabaseModule {
  static forRoot(dataSource: DataSource, url: string): DynamicModule {
    return {
      module: DatabaseModule,
      global: true,
      imports: [
        TypeOrmModule.forRootAsync({
          useFactory: () => ({ ...dataSourceOptions(url), retryAttempts: 0 }),
          dataSourceFactory: async () => (dataSource.isInitialized ? dataSource : openDataSource(url)),
        }),
      ],
    };
  }
}
