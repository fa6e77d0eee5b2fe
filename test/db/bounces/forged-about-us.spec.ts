import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BounceSmtpServer } from '../../../src/bounces/bounce-smtp.server.js';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { RefusingMailboxes } from '../../../src/bounces/refusing-mailboxes.service.js';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { SequencePauses } from '../../../src/delivery/waiting/sequence-pauses.service.js';
import { report } from '../../support/returned-mails.js';
import { bring, openSmtpClient, type SmtpClient } from '../../support/smtp-client.js';
import { SECRET } from '../delivery/post-office.js';
import { acceptedMails, broadcastState } from './broadcast-mails.js';
import { BOUNCE_DOMAIN, openBounceOffice, UNSIGNED, type BounceOffice } from './bounce-office.js';

const DAY_MS = 86_400_000;
/** As the server in front writes down who brought it. */
const STRANGER = 'Received: from mail.eve.example (unknown [203.0.113.9]) by mail.example.com with ESMTP\n';

/** Each reader has the return path of the mails that they got. */
describe('a report about the sender that comes from nowhere that a true one would', () => {
  let office: BounceOffice;
  let listener: BounceSmtpServer;
  let client: SmtpClient;

  beforeEach(async () => {
    office = await openBounceOffice();
    listener = office.app.get(BounceSmtpServer, { strict: false });
    client = await openSmtpClient(await listener.listen(0, '127.0.0.1'));
    await client.say('EHLO mx.example.net');
  });
  afterEach(async () => {
    client.close();
    await listener.close();
    await office.close();
  });

  const brings = async (id: string | undefined, mail: string | Buffer, by = STRANGER): Promise<void> => {
    const raw = Buffer.concat([Buffer.from(by), Buffer.from(mail)]).toString();
    expect(await bring(client, verpAddress(SECRET, id ?? '0', BOUNCE_DOMAIN), raw)).toMatch(/^250 /);
  };
  const refused = ({ status, diagnostic } = UNSIGNED): string => {
    const fields = `Final-Recipient: rfc822; x@example.org\nAction: failed\nStatus: ${status}\nDiagnostic-Code: smtp; ${diagnostic}`;
    return report({ words: '', fields });
  };
  const MUTE = { status: '5.7.1', diagnostic: '554 5.7.1 Service unavailable' };
  const feedback = (type: string): string =>
    `From: fbl@example.net\nTo: fbl@${BOUNCE_DOMAIN}\nSubject: FW: Hello\nContent-Type: multipart/report; report-type=feedback-report; boundary="=b"\n
--=b\nContent-Type: message/feedback-report\n\nFeedback-Type: ${type}\nUser-Agent: Example/1\nVersion: 1\n
--=b\nContent-Type: message/rfc822\n\nSubject: Hello\n\n--=b--\n`;
  const look = async (): Promise<void> => office.app.get(RatesWatch, { strict: false }).look();
  const kept = async (messageId: string | undefined): Promise<unknown[]> =>
    (await office.bounces.list({ messageId, limit: 9 })).map(({ verdict, trusted }) => [verdict, trusted]);
  /** Of a broadcast, to readers of these addresses. */
  const mailsTo = async (
    broadcastId: string,
    addresses: readonly string[],
    group: string,
  ): Promise<string[]> => {
    const ids = await acceptedMails(office, broadcastId, addresses.length, { group });
    for (const [n, id] of ids.entries())
      await office.db.query('update message set address = $2 where id = $1', [id, addresses[n]]);
    return ids;
  };
  const numbered = (count: number, name: (n: number) => string): string[] =>
    Array.from({ length: count }, (_, n) => name(n));

  it.each([
    ['an unsigned notice', refused()],
    ['a feedback report of a virus', feedback('virus')],
    ['a feedback report of a failed authentication', feedback('auth-failure')],
    ['a feedback report of fraud', feedback('fraud')],
  ])('paused a whole broadcast by %s: it is kept, and shown, and stops nothing', async (_, mail) => {
    const broadcastId = await office.broadcast();
    const ids = await acceptedMails(office, broadcastId, 100);
    for (const id of ids.slice(0, 3)) await brings(id, mail);
    await look();
    expect(await kept(ids[0])).toEqual([['sender', false]]);
    expect(await broadcastState(office, broadcastId)).toBe('running');
    expect(await office.alertKeys()).toEqual([]);
  });

  it.each([
    ['our relay brings', ''],
    ['the reader’s own provider signs', STRANGER],
  ])('stops it at once when %s it', async (_, by) => {
    const broadcastId = await office.broadcast();
    const [id = ''] = await acceptedMails(office, broadcastId, 100);
    const path = verpAddress(SECRET, id, BOUNCE_DOMAIN);
    await brings(id, by === '' ? refused() : await office.complaint(id, 'auth-failure', path), by);
    expect(await broadcastState(office, broadcastId)).toBe('paused');
    expect(await office.alertKeys()).toContain(`bounces:broadcast:${broadcastId}`);
  });

  it('is not believed for what a provider has signed about another mail', async () => {
    const broadcastId = await office.broadcast();
    const [id] = await acceptedMails(office, broadcastId, 100);
    await brings(id, await office.complaint(await office.sent('another@example.org'), 'auth-failure'));
    expect(await broadcastState(office, broadcastId)).toBe('running');
    expect(await office.alertKeys()).toEqual([]);
  });

  it.each<[string, string, (n: number) => string]>([
    ['the many mailboxes under a domain of their own', 'other', (n) => `me@n${n}.eve.example`],
    ['such a domain at Google', 'gmail', (n) => `me${n}@eve.example`],
    ['many names for one mailbox at Google', 'gmail', (n) => `e.ve+${n}@gmail.com`],
  ])('stops nothing when one reader has it sent about %s', async (_, group, name) => {
    const broadcastId = await office.broadcast();
    const ids = await mailsTo(broadcastId, numbered(30, name), group);
    for (const id of ids) await brings(id, refused());
    await look();
    expect(await broadcastState(office, broadcastId)).toBe('running');
  });

  it('stops the broadcast when a tenth of its readers, and twenty, have one: a true block whose reports come by another way', async () => {
    const broadcastId = await office.broadcast();
    const ids = await mailsTo(
      broadcastId,
      numbered(199, (n) => `reader${n}@gmail.com`),
      'gmail',
    );
    for (const id of ids.slice(0, 19)) await brings(id, refused());
    expect(await broadcastState(office, broadcastId)).toBe('running');
    await brings(ids[19], refused());
    expect(await broadcastState(office, broadcastId)).toBe('paused');
    expect(await office.db.query('select state_reason from broadcast where id = $1', [broadcastId])).toEqual([
      {
        state_reason: 'by reports that may be forged, 20 of 199 mails were refused because of the sender',
      },
    ]);
  });

  it('pauses no sequence, unless a tenth of its readers, and twenty, have one', async () => {
    const pauses = office.app.get(SequencePauses, { strict: false });
    const ids: string[] = [];
    for (let n = 0; n < 21; n++) ids.push(await office.sent(`reader${n}@gmail.com`, { funnelKey: 'niches' }));
    for (const id of ids.slice(0, 19)) await brings(id, refused());
    await look();
    expect(await pauses.all()).toEqual([]);
    for (const id of ids.slice(19)) await brings(id, refused());
    await look();
    expect(await pauses.all()).toMatchObject([{ funnelKey: 'niches' }]);
  });

  it('ends nobody: three about mails that a reader was passed on, without a reason, gave that reader up', async () => {
    const email = 'passed.on@example.org';
    for (let n = 0; n < 3; n++) {
      const id = await office.sent(email);
      for (const other of ['one', 'two']) await office.sent(`${other}@example.org`);
      await brings(id, refused(MUTE));
      office.clock.advance(2 * DAY_MS);
    }
    await office.app.get(RefusingMailboxes, { strict: false }).look(new AbortController().signal);
    expect(await office.status(email)).toBe('active');
    expect(await office.suppressed(email)).toEqual([]);
  });

  it('takes the place of no true one', async () => {
    const broadcastId = await office.broadcast();
    const [id] = await acceptedMails(office, broadcastId, 100);
    await brings(id, refused());
    await brings(id, refused(), '');
    expect(await kept(id)).toEqual([
      ['sender', true],
      ['sender', false],
    ]);
    expect(await broadcastState(office, broadcastId)).toBe('paused');
  });
});
