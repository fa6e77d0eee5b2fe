import { afterAll, beforeAll, expect, it } from 'vitest';
import { DueMessages } from '../../../../src/delivery/sending/due-messages.service.js';
import { insertMessage } from '../pacing/pacing-app.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

let t: PostOffice;
beforeAll(async () => {
  t = await openPostOffice();
});
afterAll(async () => t.close());

it('a worker that finds all that comes first in the hands of others looks again, and takes what stands behind it: its run ended', async () => {
  const due = t.app.get(DueMessages, { strict: false });
  expect(await due.maySend()).toBe(true);
  for (let n = 0; n < 4; n++) await insertMessage(t.db, { priority: 1, lane_key: 'example.com|gmail' });
  for (let n = 0; n < 3; n++) await insertMessage(t.db, { priority: 5, lane_key: 'example.com|other' });
  const claim = async (): Promise<[taken: number, waitMs: number | null]> => {
    const { taken, waitMs } = await due.claim('me', 4);
    return [taken, waitMs];
  };
  const other = t.db.createQueryRunner();
  await other.connect();
  await other.startTransaction();
  await other.query('select from message where priority = 1 for update');
  // Three times; then somebody else may hold them for long.
  expect([await claim(), await claim(), await claim(), await claim()]).toEqual([
    ...[
      [0, 50],
      [0, 50],
      [0, 50],
    ],
    [0, null],
  ]);
  await other.query(`update message set state = 'leased', lease_owner = 'other' where priority = 1`);
  await other.commitTransaction();
  await other.release();
  expect(await claim()).toEqual([3, null]);
  expect(await claim()).toEqual([0, null]);
});
