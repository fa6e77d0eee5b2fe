import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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
      expect(await office.comesBack(next, DEAD)).toBe('counted');
    } finally {
      await office.db.query('alter table bounce drop constraint refused');
    }
  });
});
