/*
 * A stand-in for the application, as a process of its own that a test may kill: starts PostgreSQL on the folder given,
 * prints one line of JSON when it is up, and ends in order when its standard input closes.
 */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const source = fileURLToPath(new URL('../../src/infra/database/embedded-postgres.ts', import.meta.url));
const { module } = await runnerImport(source, { configFile: false, logLevel: 'silent' });
try {
  const lines = [];
  const server = await module.startEmbeddedPostgres({
    dataDir: process.argv[2],
    log: (line) => lines.push(line),
    settings: JSON.parse(process.argv[3] ?? '{}'),
  });
  process.stdout.write(`${JSON.stringify({ url: server.url, adopted: server.adopted, lines })}\n`);
  process.stdin.resume().once('end', () => {
    void server.stop().then(() => process.exit(0));
  });
} catch (error) {
  process.stdout.write(`${JSON.stringify({ code: error.code, message: error.message })}\n`);
  process.exit(1);
}
