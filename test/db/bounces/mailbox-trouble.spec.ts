import { DataSource } from 'typeorm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BounceImap } from '../../../src/bounces/bounce-imap.service.js';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';

const MINUTE_MS = 60_000;

let office: BounceOffice;
beforeAll(async () => {
  office = await openBounceOffice();
});
afterAll(async () => office.close());

it('a bounce mailbox that cannot be read for an hour is mailed to the owner: who left by mail was written to for days without a word', async () => {
  const get = <T>(type: new (...args: never[]) => T): T => office.app.get<T>(type, { strict: false });
  const config = { ...office.config, bounceImapUrl: 'imap://ada:secret@127.0.0.1:1/INBOX' };
  const [guard, alerts, db] = [get(GenerationGuard), get(AlertsService), get(DataSource)];
  const readsAfter = async (minutes: number): Promise<string[]> => {
    office.clock.advance(minutes * MINUTE_MS);
    const reader = new BounceImap(office.intake, guard, alerts, db, config, office.clock);
    await reader.readNew({ signal: new AbortController().signal });
    // Whoever is written to.
    return db.transaction(async (manager) => (await alerts.unmailed(manager)).map(({ message }) => message));
  };
  expect(await readsAfter(0)).toEqual([]);
  expect(await readsAfter(59)).toEqual([]);
  expect(await readsAfter(1)).toEqual([expect.stringContaining('who leaves by mail is still written to')]);
});
