import { freePort } from '../../src/infra/free-port.js';
import { startTestApp, type TestApp } from './app.js';
import { createTestDatabase } from './database.js';
import { DatabaseFront } from './database-front.js';

export interface FrontedApp {
  t: TestApp;
  /** Closed, the database is away for the application. */
  front: DatabaseFront;
  close(): Promise<void>;
}

/** An application whose database goes away and comes back as the test says; it does not log that. */
export async function startFrontedApp(): Promise<FrontedApp> {
  const database = await createTestDatabase();
  const url = new URL(database.url);
  const server = { host: url.hostname, port: Number(url.port) };
  const front = await new DatabaseFront(() => server, await freePort()).open();
  [url.hostname, url.port] = ['127.0.0.1', String(front.port)];
  const t = await startTestApp({ databaseUrl: url.href });
  t.app.useLogger(false);
  return {
    ...{ t, front },
    close: async () => {
      await t.close();
      await front.close();
      await database.drop();
    },
  };
}
