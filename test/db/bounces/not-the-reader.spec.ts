import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { report, text } from '../../support/returned-mails.js';
import { SECRET } from '../delivery/post-office.js';
import { BOUNCE_DOMAIN, FROM_RELAY, FULL, openBounceOffice, type BounceOffice } from './bounce-office.js';

const DAY_MS = 86_400_000;

/** Five in a row give a mailbox up, see OutcomesService. */
describe('five returned mails in a row that are not about the reader', () => {
  let office: BounceOffice;
  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());

  const comesBack = async (messageId: string, said: string): Promise<void> => {
    const words = `host mx.example.org[192.0.2.4] ${said}`;
    const fields = `Final-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: X-Postfix; ${words}`;
    const raw = Buffer.from(report({ words: `<bob@example.org>: ${words}`, fields }));
    const envelopeTo = [verpAddress(SECRET, messageId, BOUNCE_DOMAIN)];
    expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp', ...FROM_RELAY })).toBe('counted');
  };

  it.each([
    ['listed', 'refused to talk to me: 554 IP=192.0.2.7 - A problem occurred. (Ask your postmaster)'],
    ['unwelcome', 'refused to talk to me: 550 Access denied'],
    ['sender', 'said: 550 Denied (in reply to MAIL FROM command)'],
    ['rejected', 'said: 554 rejected (in reply to end of DATA command)'],
    ['failed', 'said: 554 5.7.1 Transaction failed (in reply to end of DATA command)'],
  ])('gave up a reader whose provider lets us or our mail not in: %s', async (name, said) => {
    const email = `${name}@example.org`;
    for (let count = 1; count <= 5; count++) {
      const id = await office.sent(email);
      office.clock.advance(DAY_MS);
      await comesBack(id, said);
    }
    expect(await office.status(email)).toBe('active');
    expect(await office.suppressed(email)).toEqual([]);
    expect((await office.alertKeys()).join(' ')).toMatch(/bounces:sender:example.com:/);
  });

  it('gave up an address that a stranger had asked to confirm: whoever is there has asked for none of these', async () => {
    const email = 'asked@example.org';
    for (let count = 1; count <= 6; count++) {
      const id = await office.sent(email, { class: 'transactional', kind: 'confirmation' });
      office.clock.advance(DAY_MS);
      expect(await office.comesBack(id, FULL)).toBe('counted');
    }
    expect(await office.suppressed(email)).toEqual([]);
    expect(await office.status(email)).toBe('active');
  });

  it.each([
    ['each mail', 0],
    ['something since', 4],
  ])(
    'gave up a reader who has read %s: whoever is passed their mails on can write of them',
    async (_, from) => {
      const email = `reads${from}@example.org`;
      for (let count = 0; count < 5; count++) {
        const id = await office.sent(email);
        office.clock.advance(DAY_MS);
        const { status, diagnostic } = FULL;
        const fields = `Final-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: ${status}\nDiagnostic-Code: smtp; ${diagnostic}`;
        const forged = {
          raw: Buffer.from(report({ words: '', fields })),
          source: 'smtp',
          client: '203.0.113.9',
        } as const;
        if (count >= from)
          await office.db.query(
            `insert into tracking_event (kind, message_id, class, reason, rule_version, at) values ('click', $1, 'human', 'as the test says', 1, $2)`,
            [id, office.clock.now()],
          );
        const envelopeTo = [verpAddress(SECRET, id, BOUNCE_DOMAIN)];
        expect(await office.intake.receive({ ...forged, envelopeTo })).toBe('counted');
      }
      expect(await office.status(email)).toBe('active');
      expect(await office.suppressed(email)).toEqual([]);
    },
  );

  /** The text of the mail, with nothing in its head that says what it is. */
  const answers = async (messageId: string, body: string): Promise<string> =>
    office.intake.receive({
      raw: Buffer.from(text('Bob <office@example.org>', 'Hello', body)),
      envelopeTo: [verpAddress(SECRET, messageId, BOUNCE_DOMAIN)],
      source: 'smtp',
    });

  it('gave up a reader who is away and says whom to write to instead', async () => {
    for (let count = 1; count <= 5; count++) {
      const id = await office.sent('away@example.org');
      office.clock.advance(DAY_MS);
      const said = 'I am on leave. My account is disabled, please write to info@example.org';
      expect(await answers(id, said)).toBe('nothing');
      const kept = await office.bounces.list({ messageId: id, limit: 5 });
      expect(kept.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(['ignore not_a_report']);
    }
    expect(await office.status('away@example.org')).toBe('active');
  });

  it('still counts such a text that names the reader', async () => {
    const id = await office.sent('named@example.org');
    expect(await answers(id, 'The mailbox named@example.org is disabled.')).toBe('counted');
  });
});
