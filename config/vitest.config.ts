import { defineConfig } from 'vitest/config';

/** One PostgreSQL server for the whole run (started by the global set-up), one database per test file. */
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['test/**/*.spec.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // What is waited for comes: on a machine that is busy otherwise later.
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    isolate: false,
    // One more than the two cores of the smallest machine: a third of the time of two was spent waiting, as for a greeting.
    maxWorkers: 3,
    env: { TZ: 'UTC', NODE_ENV: 'test' },
  },
});
