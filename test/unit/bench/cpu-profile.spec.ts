import { expect, it } from 'vitest';
import { namesWithoutFile } from '../../bench/cpu-profile.js';

it('every part of the code by which a profile of sending is divided is there under its name', async () => {
  expect(await namesWithoutFile()).toEqual([]);
});
