import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { SequencePauses } from '../../../src/delivery/waiting/sequence-pauses.service.js';
import { acceptedMails, broadcastState } from './broadcast-mails.js';
import { verpAddress } from '../../../src/delivery/mails/verp.js';
import { report } from '../../support/returned-mails.js';
import { SECRET } from '../delivery/post-office.js';
import { BOUNCE_DOMAIN, openBounceOffice, type BounceOffice } from './bounce-office.js';

/** As in `one-organisation.spec.ts`: what all of somebody's mailboxes say is one voice. */
describe('what comes back from one person', () => {
  let office: BounceOffice;

  beforeEach(async () => {
    office = await openBounceOffice();
  });
  afterEach(async () => office.close());

  const look = async (): Promise<void> => office.app.get(RatesWatch, { strict: false }).look();
  const complain = async (mails: readonly string[]): Promise<void> => {
    for (const one of mails) await office.complains(one);
  };
  const rename = async (mails: readonly string[], name: (n: number) => string): Promise<void> => {
    for (const [n, one] of mails.entries())
      await office.db.query('update message set address = $2 where id = $1', [one, name(n)]);
  };
  const asSequence = async (id: string): Promise<void> => {
    await office.db.query(
      `update message set kind = 'sequence', funnel_key = 'niches', broadcast_id = null where broadcast_id = $1`,
      [id],
    );
    await office.db.query('update bounce set broadcast_id = null where broadcast_id = $1', [id]);
  };

  it('stops no broadcast that the owner let go on: five complaints of one domain stopped it once more', async () => {
    const broadcasts = office.app.get(BroadcastsService, { strict: false });
    const id = await office.broadcast();
    await office.db.query('update broadcast set started_at = $2 where id = $1', [id, office.clock.now()]);
    const rest = await acceptedMails(office, id, 1_000, { domain: 'hosted.example' });
    const own = await acceptedMails(office, id, 8);
    await office.db.query('update message set settled_at = clock_timestamp() where broadcast_id = $1', [id]);
    await complain([...rest.slice(0, 2), ...own.slice(0, 2)]);
    expect(await broadcastState(office, id)).toBe('paused');
    await broadcasts.resume(id);
    await complain(own.slice(2));
    expect(await broadcastState(office, id)).not.toBe('paused');
    await complain(rest.slice(2, 4));
    expect(await broadcastState(office, id)).toBe('paused');
  });

  it('stops no sequence that the owner let go on: five complaints of one domain stopped it once more', async () => {
    const pauses = office.app.get(SequencePauses, { strict: false });
    const id = await office.broadcast();
    const rest = await acceptedMails(office, id, 1_000, { domain: 'hosted.example' });
    const own = await acceptedMails(office, id, 8);
    await asSequence(id);
    await complain([...rest.slice(0, 2), ...own.slice(0, 2)]);
    await look();
    expect(await pauses.all()).toMatchObject([{ funnelKey: 'niches' }]);
    office.clock.advance(60_000);
    await pauses.resume('niches');
    office.clock.advance(60_000);
    await complain(own.slice(2));
    await look();
    expect(await pauses.all()).toEqual([]);
    await complain(rest.slice(2, 4));
    await look();
    expect(await pauses.all()).toMatchObject([{ funnelKey: 'niches' }]);
  });

  it.each(['broadcast', 'sequence'])(
    'stops no %s by five complaints under as many names of a mailbox at Outlook: each was a reader',
    async (kind) => {
      const id = await office.broadcast();
      await acceptedMails(office, id, 1_000, { group: 'outlook', domain: 'elsewhere.example' });
      const own = await acceptedMails(office, id, 5, { group: 'outlook' });
      await complain(own);
      await rename(own, (n) => `eve+${n}@outlook.com`);
      if (kind === 'sequence') await asSequence(id);
      await look();
      expect(await broadcastState(office, id)).toBe('running');
      expect(await office.app.get(SequencePauses, { strict: false }).all()).toEqual([]);
      expect(await office.alertKeys()).toContain(
        kind === 'sequence' ? 'bounces:sequence:niches' : 'complaints:provider:outlook',
      );
    },
  );

  it('stops no broadcast by 150 names of a mailbox at Google, of which somebody writes that they are dead: twenty stopped none', async () => {
    const id = await office.broadcast();
    await acceptedMails(office, id, 600, { domain: 'elsewhere.example' });
    const own = await acceptedMails(office, id, 150);
    await rename(own, (n) => `e.ve+${n}@gmail.com`);
    const fields = `Final-Recipient: rfc822; x@gmail.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown`;
    const raw = Buffer.from(report({ words: '', fields }));
    for (const one of own) {
      const envelopeTo = [verpAddress(SECRET, one, BOUNCE_DOMAIN)];
      await office.intake.receive({ raw, envelopeTo, source: 'smtp', client: '203.0.113.9' });
    }
    expect(await broadcastState(office, id)).toBe('running');
  });

  it('is not what many who were erased meanwhile said: all of them were one', async () => {
    const id = await office.broadcast();
    await acceptedMails(office, id, 1_000, { domain: 'elsewhere.example', group: 'other' });
    const mails = await acceptedMails(office, id, 5, { group: 'other' });
    await complain(mails);
    expect(await broadcastState(office, id)).toBe('running');
    await rename(mails, () => 'erased');
    await look();
    expect(await broadcastState(office, id)).toBe('paused');
  });
});
