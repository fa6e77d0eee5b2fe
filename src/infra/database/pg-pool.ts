import type { ClientBase, Pool } from 'pg';
import type { DataSource } from 'typeorm';

/**
 * The pool behind TypeORM, for statements on hot paths: it takes named ones, which PostgreSQL parses and plans once per
 * connection. Planning the ledger's statement anew cost as much as ten rows of its work.
 */
export function pgPool({ driver }: DataSource): Pool {
  if (!('master' in driver)) throw new Error('the data source is not PostgreSQL');
  return driver.master as Pool;
}

/**
 * For every pool. The pool takes its own listener away as it lends a connection, so the end of one that is lent and has
 * no statement under way would be nobody's: that ends the process. Its borrower hears of it at the next statement.
 */
export function onConnect(client: ClientBase): void {
  client.on('error', () => undefined);
}
