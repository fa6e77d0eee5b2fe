import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { text } from '../../support/returned-mails.js';
import { BOUNCE_DOMAIN, DEAD, FROM_RELAY, openBounceOffice, type BounceOffice } from './bounce-office.js';

describe('a returned mail that PostgreSQL will not have', () => {
  let office: BounceOffice;
  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());

  const brought = async (head: string, envelopeTo: string[], source: 'smtp' | 'imap'): Promise<string> => {
    const body = `It failed.\n\n--- Below this line is a copy of the message.\n\n${head}`;
    const raw = Buffer.from(text('MAILER-DAEMON@example.org', 'Undelivered Mail', body));
    return office.intake.receive({ raw, envelopeTo, source, ...FROM_RELAY });
  };

  it.each([
    ['its Message-ID', 'Message-ID: <aaaaaaaaaaaaaaaaaaaaaaaaaa@exa\0mple.com>\nFrom: a@b.example'],
    [
      'the address it is from',
      'Message-ID: <a@b.example>\nX-Wellspring-Id: aaaaaaaaaaaaaaaaaaaaaaaaaa\nFrom: a@exa\0mple.com',
    ],
  ])('was brought again for ever for a NUL in %s', async (_, head) => {
    for (const source of ['smtp', 'imap'] as const)
      expect(['nothing', 'untrusted']).toContain(
        await brought(head, [`postmaster@${BOUNCE_DOMAIN}`], source),
      );
  });

  it('is put aside where it is refused for what nobody thought of, and the next one is counted', async () => {
    const [odd, next] = [await office.sent('odd@example.org'), await office.sent('next@example.org')];
    await office.db.query(`alter table bounce add constraint refused check (reporting_mta <> 'odd.example')`);
    try {
      expect(await office.comesBack(odd, { ...DEAD, mta: 'odd.example' })).toBe('nothing');
      expect(await office.status('odd@example.org')).not.toBe('bounced');
      const kept = await office.bounces.list({ messageId: odd, limit: 5 });
      expect(kept.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(['ignore not_a_report']);
      expect(await office.alertKeys()).toContain('bounces:unstorable');
      expect(await office.comesBack(next, DEAD)).toBe('counted');
    } finally {
      await office.db.query('alter table bounce drop constraint refused');
    }
  });

  it('was told of for ever: the alert ends when none has come for a week', async () => {
    const key = 'bounces:unstorable';
    await office.app
      .get(AlertsService, { strict: false })
      .raise({ key, severity: 'warning', message: 'one' });
    const watch = office.app.get(RatesWatch, { strict: false });
    await watch.look();
    expect(await office.alertKeys()).toContain(key);
    office.clock.advance(8 * 86_400_000);
    await watch.look();
    expect(await office.alertKeys()).not.toContain(key);
  });

  it('was put aside where something that it names was deleted at that moment: it is taken once more', async () => {
    const id = await office.sent('passing@example.org');
    await office.db.query(`create sequence tries`);
    await office.db.query(`create function refuse_once() returns trigger language plpgsql as $$ begin
      if nextval('tries') = 1 then raise foreign_key_violation; end if; return new; end $$`);
    await office.db.query(
      `create trigger refuse_once before insert on bounce for each row execute function refuse_once()`,
    );
    try {
      expect(await office.comesBack(id, DEAD)).toBe('counted');
      expect(await office.status('passing@example.org')).toBe('bounced');
    } finally {
      await office.db.query('drop function refuse_once cascade');
    }
  });
});
