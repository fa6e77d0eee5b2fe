import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { report } from '../../support/returned-mails.js';
import { dnsOf } from '../../support/zone.js';
import { SECRET } from '../delivery/post-office.js';
import { BOUNCE_DOMAIN, FROM_RELAY, openBounceOffice, type BounceOffice } from './bounce-office.js';

const DAY_MS = 86_400_000;

/** The mail of `example.org` is taken at one host and sent from others. */
const MX = '192.0.2.25';
const NAMED = '192.0.2.26';
const IN_SPF = '198.51.100.7';
const STRANGER = '203.0.113.9';
const LIAR = '203.0.113.10';
const LET = '203.0.113.50';
const ZONE = {
  'MX example.org': ['10 mx.hosts.example'],
  'A mx.hosts.example': [MX],
  'TXT example.org': [`v=spf1 ip4:${IN_SPF} -all`],
  [`PTR ${NAMED}`]: ['out.hosts.example'],
  'A out.hosts.example': [NAMED],
  [`PTR ${STRANGER}`]: ['mail.eve.example'],
  'A mail.eve.example': [STRANGER],
  // Whoever has an address may call it what they like; who has the name says where it is.
  [`PTR ${LIAR}`]: ['out.hosts.example'],
  // A machine that the host of the mailboxes lets to others.
  [`PTR ${LET}`]: ['vm-203-0-113-50.hosts.example'],
  'A vm-203-0-113-50.hosts.example': [LET],
  'MX silent.example': ['FAIL'],
  'MX open.example': ['10 mx.open.example'],
  'TXT open.example': ['v=spf1 +all'],
};

interface Way {
  source?: 'smtp' | 'imap';
  client?: string;
  sender?: string;
  /** In front of the report, the newest first. */
  headers?: string[];
}
const from = (ip: string, by = 'relay.example.com', helo = 'mx.hosts.example'): string =>
  `Received: from ${helo} (unknown [${ip}])\n\tby ${by} (Postfix) with ESMTP id 4XyZ for <b@example.com>`;
const direct = (client: string): Way => ({ client, sender: '' });
const read = (...headers: string[]): Way => ({ source: 'imap', headers });

describe('a report of a dead address', () => {
  let office: BounceOffice;
  let count = 0;

  beforeAll(async () => {
    office = await openBounceOffice({}, dnsOf(ZONE));
  });
  afterAll(async () => office.close());

  /** Whoever writes it knows the return path. */
  async function told(id: string, { source = 'smtp', client, sender, headers = [] }: Way): Promise<void> {
    const path = verpAddress(SECRET, id, BOUNCE_DOMAIN);
    const fields =
      'Final-Recipient: rfc822; x@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 <x@example.org>: User unknown';
    const mail = report({ words: '', fields, headers: [...headers, 'Return-Path: <>'].join('\n') });
    const raw = Buffer.from(mail.replace('b+token@bounce.example.com', path));
    const envelopeTo = source === 'smtp' ? [path] : [];
    await office.intake.receive({ raw, envelopeTo, source, client, sender });
  }
  const somebody = (domain = 'example.org'): string => `reader${++count}@${domain}`;
  const kept = async (id: string): Promise<string[]> =>
    (await office.bounces.list({ messageId: id, limit: 9 })).map(({ verdict }) => verdict);

  it.each<[string, Way]>([
    ['our relay, which writes it itself', FROM_RELAY],
    ['our relay, to which the reader’s server sent it', { ...FROM_RELAY, headers: [from(MX)] }],
    ['the server that takes the mail of the domain', direct(MX)],
    ['a host of the same organisation', direct(NAMED)],
    ['a host that the domain names in its SPF record', direct(IN_SPF)],
    ['our relay, into the mailbox', read(from('127.0.0.1', 'imap.example.com'))],
    ['the reader’s server, into the mailbox', read(from('10.0.0.7', 'imap.example.com'), from(MX))],
  ])('is believed at once when it comes from %s', async (_, way) => {
    const email = somebody();
    const id = await office.sent(email);
    await told(id, way);
    expect(await office.status(email)).toBe('bounced');
    expect(await kept(id)).toEqual(['hard']);
  });

  it.each<[string, Way, string?]>([
    ['anybody', direct(STRANGER)],
    ['anybody who says that it came by the reader’s server', { ...direct(STRANGER), headers: [from(MX)] }],
    ['anybody who calls their host the reader’s', direct(LIAR)],
    ['a machine that the reader’s host lets', direct(LET)],
    ['another customer of the reader’s provider', { client: MX, sender: 'eve@example.org' }],
    ['anybody, by our relay', { ...FROM_RELAY, headers: [from(STRANGER), from(MX)] }],
    ['anybody, into the mailbox', read(from(STRANGER), from(MX))],
    [
      'anybody who greets with the address of the reader’s server',
      read(from(STRANGER, 'imap.example.com', `[${MX}]`)),
    ],
    ['nobody knows where', {}],
    ['the reader’s server, while the DNS does not answer', direct(MX), 'silent.example'],
    ['anybody, for a domain that lets everybody write', direct(STRANGER), 'open.example'],
  ])(
    'gave up its reader, who is there, when it came from %s: it is counted',
    async (_, way, domain = 'example.org') => {
      const email = somebody(domain);
      const id = await office.sent(email);
      await told(id, way);
      // The same return path, however often.
      office.clock.advance(DAY_MS);
      await told(id, way);
      expect(await office.status(email)).toBe('active');
      expect(await office.suppressed(email)).toEqual([]);
      expect(await kept(id)).toEqual(['soft', 'soft']);
    },
  );

  it('from anywhere is believed when the next mail comes back as well', async () => {
    const email = somebody();
    await told(await office.sent(email), direct(STRANGER));
    office.clock.advance(30 * DAY_MS);
    const next = await office.sent(email);
    office.clock.advance(DAY_MS);
    await told(next, direct(STRANGER));
    expect(await office.status(email)).toBe('bounced');
    expect(await kept(next)).toEqual(['hard']);
  });

  it('from anywhere is believed when the letter of the next quarter comes back: it was forgotten by then', async () => {
    const email = somebody();
    await told(await office.sent(email), direct(STRANGER));
    office.clock.advance(92 * DAY_MS);
    await told(await office.sent(email), direct(STRANGER));
    expect(await office.status(email)).toBe('bounced');
  });

  it('from anywhere pauses a broadcast to an old list, though it gives up nobody', async () => {
    const broadcastId = await office.broadcast();
    const ids: string[] = [];
    for (let n = 0; n < 300; n++) ids.push(await office.sent(somebody()));
    await office.db.query('update message set broadcast_id = $2 where id = any($1::bigint[])', [
      ids,
      broadcastId,
    ]);
    for (const id of ids.slice(0, 60)) await told(id, direct(STRANGER));
    expect(await office.db.query('select state from broadcast where id = $1', [broadcastId])).toEqual([
      { state: 'paused' },
    ]);
  });

  it('from anywhere is not believed when a mail in between has arrived', async () => {
    const email = somebody();
    await told(await office.sent(email), direct(STRANGER));
    await office.sent(email);
    office.clock.advance(7 * DAY_MS);
    await told(await office.sent(email), direct(STRANGER));
    expect(await office.status(email)).toBe('active');
  });

  it('from anywhere is not believed when its reader has read something since', async () => {
    const email = somebody();
    const [first, second] = [await office.sent(email), await office.sent(email)];
    await told(first, direct(STRANGER));
    office.clock.advance(DAY_MS);
    await office.db.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at) values ('click', $1, 'human', 'as the test says', 1, $2)`,
      [first, office.clock.now()],
    );
    await told(second, direct(STRANGER));
    expect(await office.status(email)).toBe('active');
  });
});
