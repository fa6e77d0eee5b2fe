import { expect, test } from 'vitest';
import { settingsFor } from '../../../../src/infra/database/postgres-sizes.js';

const GB = 2 ** 30;

test.each([
  ['a small machine keeps the defaults', 1, 20, {}],
  ['between', 2, 30, { shared_buffers: '256MB', max_wal_size: '1536MB', checkpoint_timeout: '15min' }],
  ['never more', 24, 500, { shared_buffers: '512MB', max_wal_size: '4096MB', checkpoint_timeout: '15min' }],
  ['much memory, little disk', 8, 5, { shared_buffers: '512MB' }],
])('the built-in PostgreSQL is sized by the machine: %s', (_, memory, disk, settings) => {
  expect(settingsFor({ memoryBytes: memory * GB, freeDiskBytes: disk * GB })).toEqual(settings);
});
