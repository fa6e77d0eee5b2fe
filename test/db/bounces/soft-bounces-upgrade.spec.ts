import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forgetSubscriber } from '../../../src/bounces/forget.queries.js';
import { SoftBounces1765650000000 } from '../../../src/infra/database/migrations/1765650000000-soft-bounces.js';
import { SubscribersService } from '../../../src/subscribers/subscribers.service.js';
import { DEAD, FULL, openBounceOffice, type BounceOffice } from './bounce-office.js';

const DAY_MS = 86_400_000;

describe('the upgrade after which a full mailbox ends marketing alone', () => {
  let office: BounceOffice;
  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());

  const idOf = async (email: string): Promise<string> => {
    const rows: { id: string }[] = await office.db.query('select id from subscriber where email = $1', [
      email,
    ]);
    return rows[0]?.id ?? '';
  };
  /** As the version before has left it: five mails ended all, and whatever came later kept the first reason. */
  const givenUp = async (email: string): Promise<void> => {
    for (let count = 1; count <= 5; count++) {
      const id = await office.sent(email);
      office.clock.advance(DAY_MS);
      await office.comesBack(id, FULL);
    }
    await office.db.query(
      `update suppression set scope = 'all', reason = 'hard_bounce' where scope = 'marketing' and reason = 'soft_bounce'`,
    );
    expect(await office.suppressed(email)).toEqual(['all hard_bounce']);
  };
  const upgrade = async (): Promise<void> => {
    const runner = office.db.createQueryRunner();
    try {
      await new SoftBounces1765650000000().up(runner);
    } finally {
      await runner.release();
    }
  };

  it('took back the suppression of who was erased, has complained or turned out dead since', async () => {
    await givenUp('full@example.org');
    await givenUp('erased@example.org');
    const erased = await idOf('erased@example.org');
    await office.db.transaction(async (manager) => {
      await forgetSubscriber(manager, erased);
      await office.app.get(SubscribersService, { strict: false }).erase(manager, erased, 'test');
    });
    await givenUp('angry@example.org');
    await office.complains(await office.sent('angry@example.org'));
    await givenUp('dead@example.org');
    await office.comesBack(await office.sent('dead@example.org'), DEAD);
    await upgrade();
    expect(await office.suppressed('full@example.org')).toEqual(['marketing soft_bounce']);
    for (const email of ['erased@example.org', 'angry@example.org', 'dead@example.org'])
      expect([email, await office.suppressed(email)]).toEqual([email, ['all hard_bounce']]);
  });

  it('let an old link bring back who has left while their mails did not arrive', async () => {
    const email = 'left@example.org';
    await givenUp(email);
    const subscribers = office.app.get(SubscribersService, { strict: false });
    const id = await idOf(email);
    const consents = async (): Promise<string[]> => {
      const rows: { kind: string }[] = await office.db.query(
        'select kind from consent_event where subscriber_id = $1 order by id',
        [id],
      );
      return rows.map(({ kind }) => kind);
    };
    const granted = { subscriberId: id, kind: 'granted', purpose: 'marketing' } as const;
    await subscribers.recordConsent(office.db.manager, granted);
    await office.db.transaction(async (manager) => subscribers.unsubscribe(manager, id, 'page'));
    // The version before wrote nothing down.
    await office.db.query(`delete from consent_event where kind = 'withdrawn' and subscriber_id = $1`, [id]);
    for (let times = 1; times <= 2; times++) {
      await upgrade();
      expect(await consents()).toEqual(['granted', 'withdrawn']);
    }
    expect(await office.suppressed(email)).toEqual(['marketing unsubscribed']);
    const pressed = office.db.transaction(async (manager) => subscribers.activate(manager, id));
    expect(await pressed).toBe('left');
  });
});

it('an erasure, a complaint or a dead address ends all, whatever the address was given up for before', async () => {
  const office = await openBounceOffice();
  try {
    const softly = async (email: string): Promise<void> => {
      for (let count = 1; count <= 5; count++) {
        const id = await office.sent(email);
        office.clock.advance(DAY_MS);
        await office.comesBack(id, FULL);
      }
      expect(await office.suppressed(email)).toEqual(['marketing soft_bounce']);
    };
    await softly('erased@example.org');
    const rows: { id: string }[] = await office.db.query('select id from subscriber');
    await office.db.transaction(async (manager) =>
      office.app.get(SubscribersService, { strict: false }).erase(manager, rows[0]?.id ?? '', 'test'),
    );
    await softly('angry@example.org');
    await office.complains(await office.sent('angry@example.org'));
    await softly('dead@example.org');
    await office.comesBack(await office.sent('dead@example.org'), DEAD);
    for (const [email, entry] of [
      ['erased@example.org', 'all erased'],
      ['angry@example.org', 'all complaint'],
      ['dead@example.org', 'all hard_bounce'],
    ] as const)
      expect(await office.suppressed(email)).toContain(entry);
  } finally {
    await office.close();
  }
});
