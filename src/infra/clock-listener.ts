import { Client } from 'pg';
import type { SystemClock } from './clock.js';

const CHANNEL = 'wellspring_clock';

/**
 * Demo mode moves the time in one process; the others hear of it here. A lost connection costs the news only: the
 * offset is read anew at the next start.
 */
export async function listenForClock(databaseUrl: string, clock: SystemClock): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'wellspring-clock' });
  client.on('error', () => undefined);
  client.on('notification', ({ payload }) => {
    const offsetMs = Number(payload);
    if (Number.isFinite(offsetMs)) clock.restoreOffset(offsetMs);
  });
  await client.connect();
  await client.query(`listen ${CHANNEL}`);
  return async () => client.end().catch(() => undefined);
}
