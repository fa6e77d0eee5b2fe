import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastResends } from '../../../src/broadcasts/broadcast-resends.service.js';
import { SENDER, type PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, type Desk } from './desk.js';

describe('a broadcast as it was written', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => desk.clear());

  it('is the mail that was named, from the sender that was given, at the time that was said', async () => {
    await desk.people(1);
    const sender = { name: 'Bo Byer', email: 'bo@example.com', postalAddress: '7 Low Road, Ogdenville' };
    const { id } = await desk.broadcasts.create(desk.draft({ template: 'emails/nudge', sender }));
    await desk.broadcasts.start(id, new Date('2026-03-02T12:00:00Z'));
    t.clock.set('2026-03-02T11:59:00Z');
    await desk.settle(id);
    expect(t.sink.mails).toEqual([]);
    t.clock.set('2026-03-02T12:00:00Z');
    await desk.settle(id);
    const [mail] = t.sink.mails;
    expect(mail?.parsed.from).toMatchObject({ name: 'Bo Byer', address: 'bo@example.com' });
    expect(mail?.parsed.text).toContain('7 Low Road, Ogdenville');
    const nudge = await t.templates.compile('emails/nudge');
    expect(mail?.parsed.subject).toBe(nudge.subject);
  });

  it('says whose mails its reader asked for where it is on no topic of a funnel: it had said “asked for .”', async () => {
    await desk.people(1);
    const id = await desk.started();
    await desk.settle(id);
    const [mail] = t.sink.mails;
    const reason = `You get this mail because you asked for mails from ${SENDER.name}. `;
    expect(mail?.parsed.text?.replaceAll(/\s+/g, ' ')).toContain(reason);
    expect(mail?.parsed.html).toContain(reason);
  });

  it('is sent once more with another mail and under another name, as is said', async () => {
    await desk.people(1);
    const id = await desk.started();
    await desk.settle(id);
    const resends = t.app.get(BroadcastResends, { strict: false });
    const words = { subject: null, template: 'emails/nudge', unless: 'opened' as const };
    const again = await resends.draft(id, { ...words, title: 'The second one' });
    expect(again).toMatchObject({ title: 'The second one', template: 'emails/nudge' });
    await desk.broadcasts.start(again.id, null);
    await desk.planner.run(FOREVER);
    await t.sendDue();
    const [first, second] = t.sink.mails.map(({ parsed }) => parsed.subject);
    const of = async (key: string): Promise<string> => (await t.templates.compile(key)).subject;
    expect([first, second]).toEqual([await of('emails/story'), await of('emails/nudge')]);
  });
});
