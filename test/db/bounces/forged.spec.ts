import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unsubscribeAddress, verpAddress } from '../../../src/delivery/mails/verp.js';
import { encodeIds, signToken } from '../../../src/values/signed-token.js';
import { report } from '../../support/returned-mails.js';
import { REPORTER, signedByExampleOrg } from '../../support/signed-reports.js';
import { SECRET } from '../delivery/post-office.js';
import {
  BOUNCE_DOMAIN,
  complaintQuoting,
  FROM_RELAY,
  openBounceOffice,
  type BounceOffice,
} from './bounce-office.js';

const FIELDS = (email: string) =>
  `Final-Recipient: rfc822; ${email}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 <${email}>: User unknown`;

describe('reports anybody can write', () => {
  let office: BounceOffice;
  const people = Array.from({ length: 20 }, (_, n) => `victim${n}@example.org`);
  const messages = new Map<string, string>();

  beforeAll(async () => {
    office = await openBounceOffice();
    for (const email of people) messages.set(email, await office.sent(email));
  });
  afterAll(async () => office.close());

  const forged = (email: string): string[] => {
    const id = messages.get(email) ?? '0';
    return [
      verpAddress(Buffer.alloc(32, 9), id, BOUNCE_DOMAIN),
      `b+${'a'.repeat(39)}@${BOUNCE_DOMAIN}`,
      `b+${id}@${BOUNCE_DOMAIN}`,
      `postmaster@${BOUNCE_DOMAIN}`,
      // Made with our secret for another use.
      unsubscribeAddress(signToken(SECRET, 'message', encodeIds([id])), BOUNCE_DOMAIN).replace('u+', 'b+'),
    ];
  };

  it('change nobody, whatever address or token they name', async () => {
    for (const email of people) {
      for (const envelope of forged(email)) {
        const mail = report({ words: `<${email}>: User unknown`, fields: FIELDS(email) });
        await office.intake.receive({ raw: Buffer.from(mail), envelopeTo: [envelope], source: 'smtp' });
      }
    }
    const statuses: unknown[] = await office.db.query(`select 1 from subscriber where status <> 'active'`);
    const suppressed: unknown[] = await office.db.query(`select 1 from suppression`);
    expect([statuses.length, suppressed.length]).toEqual([0, 0]);
  });

  it('are kept, once a day, as untrusted, and without the address', async () => {
    const kept = await office.bounces.list({ trusted: false, limit: 200 });
    expect(kept).toHaveLength(people.length);
    expect(kept.every(({ messageId, subscriberId }) => messageId === null && subscriberId === null)).toBe(
      true,
    );
    expect(JSON.stringify(kept)).not.toContain('@');
  });

  it('a complaint that proves nothing ends nobody', async () => {
    for (const email of people) {
      const headers = `From: ada@example.com\nTo: ${email}\nMessage-ID: <${'b'.repeat(26)}@example.com>`;
      const raw = Buffer.from(complaintQuoting(headers, `Original-Rcpt-To: <${email}>\n`));
      const envelopeTo = [`postmaster@${BOUNCE_DOMAIN}`];
      expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp' })).toBe('untrusted');
    }
    const changed: unknown[] = await office.db.query(
      `select 1 from subscriber where status <> 'active' union all select 1 from suppression`,
    );
    expect(changed).toEqual([]);
    await office.db.query(`delete from bounce where verdict = 'complaint'`);
  });

  it('cannot fill the disk', async () => {
    await office.db.query(
      `insert into bounce (dedupe_key, verdict, reason, source, trusted, received_at)
       select 'flood:' || n, 'hard', 'user_unknown', 'smtp', false, $1 from generate_series(1, 1000) n`,
      [office.clock.now()],
    );
    const mail = report({ words: '', fields: FIELDS('more@example.org') });
    await office.intake.receive({ raw: Buffer.from(mail), envelopeTo: [], source: 'imap' });
    const rows: unknown[] = await office.db.query(`select 1 from bounce where dedupe_key like 'untrusted:%'`);
    expect(rows).toHaveLength(people.length);
  });

  const headerOf = async (of: BounceOffice, id: string | undefined): Promise<string> => {
    const rows: { header: string }[] = await of.db.query(
      'select message_id_header as header from message where id = $1',
      [id],
    );
    return rows[0]?.header ?? '';
  };
  const quoting = (header: string): string =>
    report({ words: '', fields: FIELDS('elsewhere@example.org') }).replace('<abc@example.com>', header);
  /** As a relay returns it that has put a Message-ID of its own in the place of ours. */
  const withOwnId = (header: string): string =>
    quoting(`<x@relay.example>\nX-Wellspring-Id: ${/<([^@]+)@/.exec(header)?.[1] ?? ''}`);

  it.each([
    ['a Message-ID of ours', 0, quoting],
    ['our own id', 1, withOwnId],
  ])(
    'that know of a mail no more than %s, as any answer quotes, ask for no more than its unsubscribe link',
    async (_, nth, mail) => {
      const email = people[nth] ?? '';
      const stranger = Buffer.from(quoting(`<${'a'.repeat(26)}@example.com>`));
      expect(await office.intake.receive({ raw: stranger, envelopeTo: [], source: 'imap' })).toBe(
        'untrusted',
      );
      const own = Buffer.from(mail(await headerOf(office, messages.get(email))));
      await office.intake.receive({ raw: own, envelopeTo: [], source: 'smtp' });
      expect(await office.status(email)).toBe('unsubscribed');
      expect(await office.suppressed(email)).toEqual(['marketing unsubscribed']);
    },
  );

  it('are told from true ones by the Message-ID alone where mails have no return path of their own', async () => {
    const plain = await openBounceOffice({ BOUNCE_DOMAIN: '' });
    try {
      for (const [nth, mail] of [quoting, withOwnId].entries()) {
        const email = `reader${nth}@example.org`;
        const header = await headerOf(plain, await plain.sent(email));
        const raw = Buffer.from(mail(header));
        expect(await plain.intake.receive({ raw, envelopeTo: [], source: 'imap' })).toBe('counted');
        expect(await plain.status(email)).toBe('bounced');
      }
    } finally {
      await plain.close();
    }
  });

  it('a report that knows of a mail no more than its unsubscribe link, as whoever it was passed on to, does no more either', async () => {
    const [, , third = ''] = people;
    const mail = report({ words: '', fields: FIELDS('elsewhere@example.org') });
    const token = signToken(SECRET, 'unsubscribe', encodeIds(['1', messages.get(third) ?? '0']));
    const link = mail.replace(
      'Message-ID:',
      `List-Unsubscribe: <https://mail.example.com/u/${token}>\nMessage-ID:`,
    );
    await office.intake.receive({ raw: Buffer.from(link), envelopeTo: [], source: 'imap' });
    expect(await office.status(third)).toBe('unsubscribed');
    expect(await office.suppressed(third)).toEqual(['marketing unsubscribed']);
    await office.db.query(`delete from bounce where dedupe_key like 'flood:%'`);
    // Also about our standing: it counts nowhere, and nobody is told.
    const alerts = await office.alertKeys();
    const unsigned = link
      .replace('Status: 5.1.1', 'Status: 5.7.26')
      .replace(/550 5.1.1 [^\n]*/, '550 5.7.26 neither SPF nor DKIM passed');
    for (const forged of [link, unsigned])
      await office.intake.receive({ raw: Buffer.from(forged), envelopeTo: [], source: 'imap' });
    const kept = await office.bounces.list({ messageId: messages.get(third), limit: 9 });
    expect(kept.map(({ verdict, trusted }) => [verdict, trusted])).toEqual([
      ['sender', false],
      ['hard', false],
    ]);
    expect(await office.alertKeys()).toEqual(alerts);
  });

  /** As somebody has it to whom a reader passed the mail on as a file: its headers, the return path among them. */
  const passedOn = async (email: string): Promise<{ id: string; path: string }> => {
    const id = await office.sent(email);
    return { id, path: verpAddress(SECRET, id, BOUNCE_DOMAIN) };
  };
  const complaintAbout = (path: string, from: string): string =>
    `From: ${from}\nTo: fbl@${BOUNCE_DOMAIN}\nSubject: FW: Hello\nContent-Type: multipart/report; report-type=feedback-report; boundary="=b"\n
--=b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: Example/1\nVersion: 1\nOriginal-Mail-From: <${path}>\n
--=b--\n`;
  const takes = async (raw: string | Buffer, path: string): Promise<string> =>
    office.intake.receive({ raw: Buffer.from(raw), envelopeTo: [path], source: 'smtp', ...FROM_RELAY });

  it('a complaint by who was passed the mail, with its return path, does no more than its unsubscribe link: all mail ended', async () => {
    const email = 'passed.on@example.org';
    const { path } = await passedOn(email);
    const forged = complaintAbout(path, 'Eve <eve@example.net>');
    expect(await takes(forged, path)).toBe('untrusted');
    expect(await office.status(email)).toBe('unsubscribed');
    expect(await office.suppressed(email)).toEqual(['marketing unsubscribed']);
  });

  it('a complaint counts when the reader’s own provider has signed it, and it names the mail', async () => {
    const [email, other] = ['true.one@example.org', 'another.one@example.org'];
    const [{ path }, victim] = [await passedOn(email), await passedOn(other)];
    const signed = await signedByExampleOrg(complaintAbout(path, REPORTER), office.clock.now());
    // Sent on to another return path, or changed on its way, it says nothing of that other reader.
    await takes(signed, victim.path);
    await takes(signed.toString().replace(path, victim.path), victim.path);
    expect(await office.suppressed(other)).not.toContain('all complaint');
    expect(await takes(signed, path)).toBe('counted');
    expect(await office.suppressed(email)).toEqual(['all complaint']);
  });

  it.each([
    ['has been read by a person', 'human', 0, 'active'],
    ['a scanner has looked at', 'scanner', 0, 'bounced'],
    ['was taken longer ago than any server tries', 'none', 8, 'active'],
    ['was taken days ago', 'none', 5, 'bounced'],
  ])(
    'a report of a dead address about a mail that %s (%s) leaves its reader',
    async (_, hit, days, status) => {
      const email = `read.${hit}.${days}@example.org`;
      const { id, path } = await passedOn(email);
      if (hit !== 'none')
        await office.db.query(
          `insert into tracking_event (kind, message_id, class, reason, rule_version, at) values ('open', $1, $2, 'as the test says', 1, $3)`,
          [id, hit, office.clock.now()],
        );
      office.clock.advance(days * 86_400_000);
      expect(await takes(report({ words: '', fields: FIELDS(email) }), path)).toBe('counted');
      expect(await office.status(email)).toBe(status);
      const [kept] = await office.bounces.list({ messageId: id, limit: 1 });
      expect(kept).toMatchObject({ verdict: status === 'bounced' ? 'hard' : 'soft', reason: 'user_unknown' });
    },
  );

  it('a mail to the unsubscribe address ends marketing mail to the person of the token, whoever wrote it', async () => {
    const [, , , fourth = '', fifth = ''] = people;
    const rows: { id: string }[] = await office.db.query('select id from subscriber where email = $1', [
      fourth,
    ]);
    const token = signToken(
      SECRET,
      'unsubscribe',
      encodeIds([rows[0]?.id ?? '0', messages.get(fourth) ?? '0']),
    );
    const raw = Buffer.from(`From: ${fifth}\nSubject: unsubscribe\n\n`);
    const envelopeTo = [unsubscribeAddress(token, BOUNCE_DOMAIN).toUpperCase()];
    expect(await office.intake.receive({ raw, envelopeTo, source: 'smtp' })).toBe('unsubscribed');
    expect(await office.status(fourth)).toBe('unsubscribed');
    expect(await office.status(fifth)).toBe('active');
  });
});
