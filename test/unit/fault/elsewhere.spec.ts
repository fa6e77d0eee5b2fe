import { join } from 'node:path';
import { expect, it } from 'vitest';
import { missingElsewhere } from '../../fault/elsewhere.js';

it('every test that the table of faults names is there under its title', async () => {
  expect(await missingElsewhere(join(import.meta.dirname, '../../..'))).toEqual([]);
});
