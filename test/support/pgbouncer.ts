import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { freePort } from '../../src/infra/free-port.js';

const PGBOUNCER = '/usr/sbin/pgbouncer';
const START_MS = 20_000;

/** Whether the tests of poolers can run; without pgbouncer they are left out with a reason, unless CI_REQUIRE_POOLER=1 forbids that. */
export function hasPgBouncer(): boolean {
  if (existsSync(PGBOUNCER)) return true;
  if (process.env.CI_REQUIRE_POOLER === '1')
    throw new Error(`CI_REQUIRE_POOLER=1, and ${PGBOUNCER} is not there.`);
  console.log(`Left out: connection poolers, as there is no ${PGBOUNCER} (Debian: pgbouncer).`);
  return false;
}

export interface PgBouncer {
  /** The same database as the given one, through the pooler. */
  url: string;
  close(): Promise<void>;
}

/** A pooler on loopback before the database at `url`; `mode` as in its `pool_mode`, `more` as further lines of its file. */
export async function openPgBouncer(
  url: string,
  mode: 'session' | 'transaction',
  more = '',
): Promise<PgBouncer> {
  const [dir, port] = [await mkdtemp(join(tmpdir(), 'wellspring-pgbouncer-')), await freePort()];
  const { hostname, port: behind, username, password } = new URL(url);
  const file = join(dir, 'pgbouncer.ini');
  await writeFile(
    file,
    `[databases]
* = host=${hostname} port=${behind} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
${more}
`,
  );
  // It reads its file after it has given up the rights of root.
  await chmod(dir, 0o755);
  const asNobody = userInfo().uid === 0 ? ['-u', 'nobody'] : [];
  const server = spawn(PGBOUNCER, ['-q', ...asNobody, file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  server.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(server, 'exit');
  const close = async (): Promise<void> => {
    if (server.exitCode === null) server.kill('SIGINT');
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  const through = new URL(url);
  through.host = `127.0.0.1:${port}`;
  const answers = async (): Promise<boolean> => {
    const client = new Client({ connectionString: through.href });
    try {
      await client.connect();
      return true;
    } catch {
      return server.exitCode !== null;
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  const up = (await becomesTrue(answers, START_MS)) && server.exitCode === null;
  if (up) return { url: through.href, close };
  await close();
  throw new Error(`pgbouncer did not start: ${said}`);
}
