import type { ClientBase } from 'pg';

/**
 * What we write waits for a lock, then looks at what was committed meanwhile. Where an owner's server has all transactions
 * isolated more strictly, a statement fails there instead, or looks at what was so before it waited.
 */
export async function seeCommitted(client: ClientBase): Promise<void> {
  await client.query(`set default_transaction_isolation = 'read committed'`);
}
