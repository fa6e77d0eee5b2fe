import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { SequencePauses } from '../../../src/delivery/waiting/sequence-pauses.service.js';
import { acceptedMails, broadcastState } from './broadcast-mails.js';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { report } from '../../support/returned-mails.js';
import { SECRET } from '../delivery/post-office.js';
import { BOUNCE_DOMAIN, DEAD, openBounceOffice, UNSIGNED, type BounceOffice } from './bounce-office.js';

/** Whoever has a domain has any number of mailboxes, and is their server: what all of them say is one voice. */
describe('what comes back from a single small domain', () => {
  let office: BounceOffice;

  beforeEach(async () => {
    office = await openBounceOffice();
  });
  afterEach(async () => office.close());

  const look = async (): Promise<void> => office.app.get(RatesWatch, { strict: false }).look();
  /** A broadcast to so many at a small provider, and to so many at example.org. */
  const sent = async (
    count: number,
    own: number,
    group = 'other',
  ): Promise<{ id: string; rest: string[]; mails: string[] }> => {
    const id = await office.broadcast();
    const rest = await acceptedMails(office, id, count, { group, domain: 'elsewhere.example' });
    return { id, rest, mails: await acceptedMails(office, id, own, { group }) };
  };
  const comeBack = async (mails: readonly string[], said: typeof DEAD): Promise<void> => {
    for (const id of mails) await office.comesBack(id, said);
  };
  const alertOf = async (id: string): Promise<unknown[]> =>
    office.db.query(`select severity, message from alert where key = $1 and resolved_at is null`, [
      `bounces:broadcast:${id}`,
    ]);

  it.each(['other', 'gmail'])(
    'stops no broadcast by five complaints, also where its mail is taken by others (%s): one person stopped 1,666 mails',
    async (group) => {
      const { id, mails } = await sent(1_000, 5, group);
      for (const one of mails) await office.complains(one);
      await look();
      expect(await broadcastState(office, id)).toBe('running');
      expect(await alertOf(id)).toEqual([
        { severity: 'warning', message: expect.stringMatching(/recipients complained/) },
      ]);
    },
  );

  it('stops none by what it complains of several, and all hear of it', async () => {
    const some = [await sent(400, 2), await sent(400, 3)];
    for (const { mails } of some) for (const one of mails) await office.complains(one);
    await look();
    for (const { id } of some) expect(await broadcastState(office, id)).toBe('running');
    expect(
      await office.db.query(`select severity, message from alert where key = 'complaints:provider:other'`),
    ).toEqual([
      {
        severity: 'warning',
        message: expect.stringContaining(
          '5 of 805 recipients complained at other providers (0.62 %), 5 of them at example.org alone in the last',
        ),
      },
    ]);
  });

  it('stops none by its server, that says mails are not signed: one stopped 333, and a second one does', async () => {
    const { id, rest, mails } = await sent(300, 3);
    await comeBack(mails, UNSIGNED);
    expect(await broadcastState(office, id)).toBe('running');
    await comeBack(rest.slice(0, 1), UNSIGNED);
    expect(await broadcastState(office, id)).toBe('paused');
  });

  it('stops none by twenty dead addresses: it stopped 200, and ten of others do with them', async () => {
    const { id, rest, mails } = await sent(180, 20);
    await comeBack(mails, DEAD);
    expect(await broadcastState(office, id)).toBe('running');
    expect(await alertOf(id)).toEqual([
      {
        severity: 'warning',
        message: 'The broadcast "News": 20 of 200 addresses do not exist, 20 of them at example.org alone',
      },
    ]);
    await comeBack(rest.slice(0, 9), DEAD);
    expect(await broadcastState(office, id)).toBe('running');
    await comeBack(rest.slice(9, 10), DEAD);
    expect(await broadcastState(office, id)).toBe('paused');
  });

  it('stops none by twenty names of a mailbox at Google, of which somebody writes that they are dead: each was one', async () => {
    const { id, mails } = await sent(180, 20, 'gmail');
    for (const [n, one] of mails.entries()) {
      await office.db.query('update message set address = $2 where id = $1', [one, `e.ve+${n}@gmail.com`]);
      const fields = `Final-Recipient: rfc822; x@gmail.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown`;
      const envelopeTo = [verpAddress(SECRET, one, BOUNCE_DOMAIN)];
      const raw = Buffer.from(report({ words: '', fields }));
      await office.intake.receive({ raw, envelopeTo, source: 'smtp', client: '203.0.113.9' });
    }
    expect(await broadcastState(office, id)).toBe('running');
    expect(await alertOf(id)).toEqual([
      {
        severity: 'warning',
        message:
          'The broadcast "News": 20 of 200 addresses do not exist, 20 of them at one mailbox of gmail.com alone',
      },
    ]);
  });

  it('stops none by five complaints where another takes its mail, for few: a domain hosted there stopped each', async () => {
    const { id, mails } = await sent(10_000, 5);
    await acceptedMails(office, id, 400, { group: 'other', domain: 'hosted.example' });
    for (const domain of ['example.org', 'hosted.example'])
      await office.db.query(
        `insert into mail_domain (domain, group_key, mx_host, checked_at) values ($1, 'other', 'mx.hoster.example', $2)`,
        [domain, office.clock.now()],
      );
    for (const one of mails) await office.complains(one);
    await look();
    expect(await broadcastState(office, id)).toBe('running');
    expect(await alertOf(id)).toEqual([
      {
        severity: 'warning',
        message: expect.stringContaining(
          '5 of 405 recipients complained at hoster.example (1.23 %), 5 of them at example.org alone',
        ),
      },
    ]);
  });

  it('stops none by twenty dead addresses under as many domains of one owner', async () => {
    const { id, mails } = await sent(180, 20);
    for (const [n, one] of mails.entries())
      await office.db.query('update message set address = $2 where id = $1', [one, `me@n${n}.eve.example`]);
    await comeBack(mails, DEAD);
    expect(await broadcastState(office, id)).toBe('running');
  });

  it('stops a broadcast that half of goes there: it is about these readers', async () => {
    const { id, mails } = await sent(30, 30);
    for (const one of mails.slice(0, 4)) await office.complains(one);
    expect(await broadcastState(office, id)).toBe('running');
    await office.complains(mails[4] ?? '');
    expect(await broadcastState(office, id)).toBe('paused');
  });

  it('stops no sequence: three mailboxes of one person stopped it', async () => {
    const { id, rest, mails } = await sent(300, 3);
    await office.db.query(
      `update message set kind = 'sequence', funnel_key = 'niches', broadcast_id = null where broadcast_id = $1`,
      [id],
    );
    const pauses = office.app.get(SequencePauses, { strict: false });
    await comeBack(mails, UNSIGNED);
    await look();
    expect(await pauses.all()).toEqual([]);
    expect(await office.alertKeys()).toContain('bounces:sequence:niches');
    await comeBack(rest.slice(0, 1), UNSIGNED);
    await look();
    expect(await pauses.all()).toMatchObject([{ funnelKey: 'niches' }]);
  });
});
