import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestApp, type TestApp } from './app.js';
import { createTestDatabase } from './database.js';
import { DatabaseFront } from './database-front.js';

export interface AppBehindSocket {
  t: TestApp;
  /** Closed, the database is away for it. */
  front: DatabaseFront<string>;
  /** Of others, who reach it all the time. */
  databaseUrl: string;
  close(): Promise<void>;
}

/** The real application, which reaches its database over a Unix socket that can be closed. Logs nothing. */
export async function startAppBehindSocket(): Promise<AppBehindSocket> {
  const database = await createTestDatabase();
  const { username, password, pathname, hostname: host, port } = new URL(database.url);
  const sockets = await mkdtemp(join(tmpdir(), 'wellspring-socket-'));
  const behind = { host, port: Number(port) };
  const front = await new DatabaseFront(() => behind, join(sockets, '.s.PGSQL.5432')).open();
  const databaseUrl = `postgres://${username}:${password}@${encodeURIComponent(sockets)}:5432${pathname}`;
  const t = await startTestApp({ databaseUrl });
  t.app.useLogger(false);
  return {
    t,
    front,
    databaseUrl: database.url,
    close: async () => {
      await t.close();
      await front.close();
      await database.drop();
      await rm(sockets, { recursive: true });
    },
  };
}
