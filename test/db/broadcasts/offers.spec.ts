import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastPreviews } from '../../../src/broadcasts/broadcast-previews.service.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import type { SmtpSink } from '../../support/smtp-sink.js';
import { OPENED_AT, type Shop } from '../orders/shop.js';
import { HOUR_MS, openOfferShop, UNTIL, type OfferShop } from './offer-shop.js';

describe('what a broadcast offers', () => {
  let desk: OfferShop;
  let shop: Shop;
  let sink: SmtpSink;
  beforeAll(async () => {
    desk = await openOfferShop();
    ({ shop, sink } = desk);
  });
  afterAll(async () => desk?.close());
  afterEach(async () => desk.clear());

  const api: OfferShop['api'] = async (...args) => desk.api(...args);
  const draft: OfferShop['draft'] = async (change) => desk.draft(change);
  const started: OfferShop['started'] = async (...args) => desk.started(...args);
  const settle: OfferShop['settle'] = async () => desk.settle();
  const people: OfferShop['people'] = async (count) => desk.people(count);
  const soldTo: OfferShop['soldTo'] = async (...args) => desk.soldTo(...args);
  const mailOf: OfferShop['mailOf'] = async (email) => desk.mailOf(email);
  const asked: OfferShop['asked'] = async (...args) => desk.asked(...args);
  const buy: OfferShop['buy'] = async (...args) => desk.buy(...args);

  it('is linked in each mail for its reader, at a price of their own that ends for mail, page and checkout at once', async () => {
    await soldTo(2, { personalDeadline: false });
    const id = await started({ offer: { key: 'kit', discount: '50%', until: UNTIL } });
    const { subject, text } = await mailOf('p1@example.com');
    expect(subject).toContain('€24.50');
    expect(text).toContain('5 Mar 2026');
    expect(text).toMatch(/http:\/\/shop\.example\.com\/(c|offer\/kit)/);
    expect(await asked('p1@example.com')).toEqual(['€24.50', '€24.50']);
    // Who comes by no mail of it pays what everybody pays.
    expect((await shop.http.get('/checkout/kit').expect(200)).text).toContain('€34.30');
    await buy('p1@example.com');
    await buy('p2@example.com', 'kit', 'friend@example.com');
    expect(await api('get', `/${id}/results`)).toMatchObject({
      ...{ sent: 2, orders: 2, revenue: [{ amountMinor: 4_900, currency: 'EUR' }], ordersOfArms: [] },
    });
    shop.clock.set(new Date(UNTIL));
    expect(await asked('p1@example.com')).toEqual(['€34.30', '€34.30']);
  });

  it('grants the offer’s own discount where that is personal, until the time it says', async () => {
    await soldTo(1);
    expect((await shop.http.get('/checkout/kit').expect(200)).text).toContain('€49.00');
    await started({ offer: { key: 'kit', until: UNTIL } });
    expect(await asked('p1@example.com')).toEqual(['€34.30', '€34.30']);
    shop.clock.set(new Date(UNTIL));
    expect(await asked('p1@example.com')).toEqual(['€49.00', '€49.00']);
  });

  it('is told no dearer, and no shorter, than an earlier mail has told it to a reader', async () => {
    await shop.publishOffer();
    const later = new Date('2026-03-09T09:00:00Z');
    await shop.mailTo('early@example.com', { expiresAt: later });
    await shop.db.query(
      'update enrollment_offer set amount_minor = 1000, currency = $1, product_id = (select id from product where key = $2)',
      ['EUR', 'kit'],
    );
    await people(1);
    // The preview, too: it is for the first reader, and showed them what is offered to everybody.
    const { id } = await draft({ offer: { key: 'kit', until: UNTIL } });
    const drafted = await shop.app.get(BroadcastsService, { strict: false }).get(String(id));
    const preview = await shop.app.get(BroadcastPreviews, { strict: false }).preview(drafted, 0);
    expect(preview).toMatchObject({
      ...{ reader: 'early@example.com', subject: expect.stringContaining('€10.00') },
      html: expect.stringContaining('9 Mar 2026'),
    });
    await started({ offer: { key: 'kit', until: UNTIL } });
    expect((await mailOf('p1@example.com')).subject).toContain('€34.30');
    const { subject, text } = await mailOf('early@example.com');
    expect(subject).toContain('€10.00');
    expect(text).toContain('9 Mar 2026');
    expect(await asked('early@example.com')).toEqual(['€10.00', '€10.00']);
  });

  it('holds at the price and until the end that its mail says, also where these are of two earlier promises', async () => {
    await shop.publishOffer();
    await shop.mailTo('early@example.com', { expiresAt: new Date('2026-03-09T09:00:00Z') });
    await started({ offer: { key: 'kit', discount: '50%', until: UNTIL } });
    const { subject, text } = await mailOf('early@example.com');
    expect([subject, text]).toEqual([
      expect.stringContaining('€24.50'),
      expect.stringContaining('9 Mar 2026'),
    ]);
    shop.clock.set(new Date('2026-03-09T08:59:00Z'));
    expect(await asked('early@example.com')).toEqual(['€24.50', '€24.50']);
    shop.clock.set(new Date('2026-03-09T09:00:00Z'));
    expect(await asked('early@example.com')).toEqual(['€49.00', '€49.00']);
  });

  it('holds as the second of two broadcasts says, which keeps the lower price of the first for longer', async () => {
    await soldTo(1, { personalDeadline: false, discountBps: 0 });
    await started({ offer: { key: 'kit', discount: '50%', until: UNTIL } });
    sink.mails.length = 0;
    await started({ offer: { key: 'kit', discount: '30%', until: '2026-03-07T09:00:00Z' } });
    const { subject, text } = await mailOf('p1@example.com');
    expect([subject, text]).toEqual([
      expect.stringContaining('€24.50'),
      expect.stringContaining('7 Mar 2026'),
    ]);
    shop.clock.set(new Date('2026-03-07T08:59:00Z'));
    expect(await asked('p1@example.com')).toEqual(['€24.50', '€24.50']);
    shop.clock.set(new Date('2026-03-07T09:00:00Z'));
    expect(await asked('p1@example.com')).toEqual(['€49.00', '€49.00']);
  });

  it('shows the end of the price it asks where two mails were written before either had gone', async () => {
    await soldTo(1, { personalDeadline: false, discountBps: 0 });
    for (const [discount, until] of Object.entries({ '50%': UNTIL, '30%': '2026-03-07T09:00:00Z' })) {
      const { id } = await draft({ offer: { key: 'kit', discount, until } });
      await api('post', `/${String(id)}/start`);
    }
    await settle();
    const { token } = await mailOf('p1@example.com');
    const { text } = await shop.http.get(`/offer/kit?m=${token}`).expect(200);
    expect([text, text]).toEqual([expect.stringContaining('€24.50'), expect.stringContaining('5 Mar 2026')]);
    shop.clock.set(new Date(UNTIL));
    expect(await asked('p1@example.com')).toEqual(['€34.30', '€34.30']);
  });

  it('tells the rest of a split test nothing of an earlier promise that has ended while the test ran', async () => {
    await soldTo(20, { personalDeadline: false, discountBps: 0 });
    const soon = new Date(OPENED_AT.getTime() + HOUR_MS);
    await started({ offer: { key: 'kit', discount: '50%', until: soon.toISOString() } });
    sink.mails.length = 0;
    const split = { arms: [{}, { subject: 'B' }], testPercent: 50, waitMinutes: 120, judge: 'clicks' };
    const id = await started({ offer: { key: 'kit' }, split });
    shop.clock.advance(2 * HOUR_MS);
    await settle();
    const rest: { email: string }[] = await shop.db.query(
      'select s.email from message m join subscriber s on s.id = m.subscriber_id where m.broadcast_id = $1 and m.arm is null',
      [id],
    );
    const { text } = await mailOf(rest[0]?.email ?? '');
    expect(text).toContain('€49.00');
    expect(text).not.toContain('€24.50');
    expect(await asked(rest[0]?.email ?? '')).toEqual(['€49.00', '€49.00']);
  });

  it('tells of no earlier promise in a mail that is due after its end', async () => {
    await soldTo(1, { personalDeadline: false, discountBps: 0 });
    await started({ offer: { key: 'kit', discount: '50%', until: UNTIL } });
    sink.mails.length = 0;
    await started({ offer: { key: 'kit' } }, { atLocal: '2026-03-05T12:00', fallbackZone: 'UTC' });
    for (const at of ['2026-03-05T00:00:00Z', '2026-03-05T12:00:00Z']) {
      shop.clock.set(new Date(at));
      await settle();
    }
    expect((await mailOf('p1@example.com')).subject).toContain('€49.00');
  });

  it('is what arms of a split test differ in: judged by money per reader, and the winner’s goes to the rest', async () => {
    await soldTo(120, { personalDeadline: false, discountBps: 0 });
    const split = {
      arms: [
        { offer: { key: 'kit' } },
        { offer: { key: 'kit', discount: '40%', until: '2026-03-20T09:00:00Z' } },
      ],
      ...{ testPercent: 60, waitMinutes: 60, judge: 'revenue', alpha: 0.2 },
      revenueCap: { amountMinor: 4_900, currency: 'EUR' },
    };
    const id = await started({ split });
    const readers: { email: string; arm: number | null }[] = await shop.db.query(
      'select s.email, m.arm from message m join subscriber s on s.id = m.subscriber_id where m.broadcast_id = $1 order by s.id',
      [id],
    );
    const of = (arm: number | null): string[] =>
      readers.flatMap((one) => (one.arm === arm ? [one.email] : []));
    expect(await asked(of(0)[0] ?? '')).toEqual(['€49.00', '€49.00']);
    expect(await asked(of(1)[0] ?? '')).toEqual(['€29.40', '€29.40']);
    for (const email of of(1).slice(0, 14)) await buy(email);
    await buy(of(0)[0] ?? '');
    shop.clock.advance(HOUR_MS);
    await settle();
    expect(await api('get', `/${id}`)).toMatchObject({
      split: {
        arms: [
          { offer: { key: 'kit', discount: null }, revenue: { amountMinor: 4_900 } },
          { offer: { key: 'kit', discount: '40%' }, revenue: { amountMinor: 14 * 2_940 } },
        ],
        decision: { verdict: 'winner', arm: 'b' },
      },
    });
    const [rest = ''] = of(null);
    expect((await mailOf(rest)).subject).toContain('€29.40');
    expect(await asked(rest)).toEqual(['€29.40', '€29.40']);
    await buy(rest);
    expect(await api('get', `/${id}/results`)).toMatchObject({
      orders: 16,
      ordersOfArms: [
        { arm: 'a', orders: 1, revenue: [{ amountMinor: 4_900, currency: 'EUR' }] },
        { arm: 'b', orders: 14, revenue: [{ amountMinor: 14 * 2_940, currency: 'EUR' }] },
        { arm: null, orders: 1, revenue: [{ amountMinor: 2_940, currency: 'EUR' }] },
      ],
    });
  });

  it('is offered once more with the mail, and no mail goes behind the end of its price', async () => {
    await soldTo(1);
    const id = await started({ offer: { key: 'kit', until: UNTIL } });
    const again = await api('post', `/${id}/resend`, { subject: 'Once more' });
    expect(again).toMatchObject({ offer: { key: 'kit', until: UNTIL } });
    shop.clock.set(new Date(UNTIL));
    expect(await api('post', `/${String(again['id'])}/start`)).toMatchObject({
      ...{ status: 422, code: 'BROADCAST_EXPIRY_INVALID' },
      detail: 'its price would end before it starts',
    });
    expect(
      await api('patch', `/${String(again['id'])}`, { offer: null, template: 'emails/story' }),
    ).toMatchObject({
      ...{ status: 200, offer: null },
    });
  });

  it('is left out of a mail that is sent once more when it is off the site by then, or is another', async () => {
    await soldTo(1);
    const id = await started({ offer: { key: 'kit', until: UNTIL } });
    const again = { subject: 'Once more', template: 'emails/story' };
    const other = { key: 'kit', discount: '50%', until: '2026-03-08T09:00:00Z' };
    const drafted = await api('post', `/${id}/resend`, { ...again, offer: other });
    expect(drafted['offer']).toEqual(other);
    await api('post', `/${String(drafted['id'])}/cancel`);
    await shop.offers.archiveExcept(shop.db.manager, 'shop', []);
    expect(await api('post', `/${id}/resend`, { ...again, offer: other })).toMatchObject({
      ...{ status: 422, code: 'BROADCAST_OFFER_INVALID' },
    });
    expect(await api('post', `/${id}/resend`, again)).toMatchObject({ status: 201, offer: null });
  });

  it('is shown in a sent mail as it was sent, also when it is off the site and its mail has other words', async () => {
    await soldTo(1);
    await shop.db.query(
      `insert into written_mail (key, subject, preview, body, created_at, updated_at)
       values ('written/kit', 'Old for {{ offer.price | money }}', '', 'Old words [here]({{ offer.url }})', $1, $1)`,
      [OPENED_AT],
    );
    const id = await started({ template: 'written/kit', offer: { key: 'kit', until: UNTIL } });
    await shop.db.query(`update written_mail set subject = 'New', body = 'New words'`);
    await shop.offers.archiveExcept(shop.db.manager, 'shop', []);
    const report = await shop.app.get(BroadcastsService, { strict: false }).get(id);
    const previews = shop.app.get(BroadcastPreviews, { strict: false });
    const { subject, html } = await previews.preview(report, 0);
    expect(subject).toBe('Old for €34.30');
    expect(html).toContain('Old words');
    expect(html).not.toContain('ws-link');
  });

  it('waits for the owner where the offer is off the site when the broadcast begins', async () => {
    await soldTo(1);
    const { id } = await draft({ offer: { key: 'kit', until: UNTIL } });
    await api('post', `/${String(id)}/start`, { at: '2026-03-03T09:00:00Z' });
    await shop.offers.archiveExcept(shop.db.manager, 'shop', []);
    shop.clock.set(new Date('2026-03-03T09:00:00Z'));
    await settle();
    expect(await api('get', `/${String(id)}`)).toMatchObject({
      ...{ state: 'paused', stateReason: 'offer.key: there is no offer "kit"', counts: {} },
    });
    const alerts = async (): Promise<string[]> =>
      (await shop.app.get(AlertsService, { strict: false }).open()).map(({ message }) => message);
    expect(await alerts()).toEqual([expect.stringContaining('has not begun: what it offers has changed')]);
    await shop.publishOffer();
    await api('post', `/${String(id)}/resume`);
    await settle();
    expect(sink.mails).toHaveLength(1);
    expect(await alerts()).toEqual([]);
  });

  it.each([
    [{ offer: { key: 'nothing' } }, 'offer.key', 'there is no offer "nothing"'],
    [{ offer: { key: 'kit', discount: '30%', until: UNTIL } }, 'offer.discount', 'sold at 30% off already'],
    [{ offer: { key: 'kit', until: UNTIL } }, 'offer.until', 'cannot end for these readers'],
    [
      {
        offer: { key: 'kit' },
        split: {
          ...{ arms: [{}, { offer: { key: 'kit', discount: '40%', until: UNTIL } }], testPercent: 20 },
          ...{ waitMinutes: 60, judge: 'revenue', revenueCap: { amountMinor: 100, currency: 'USD' } },
        },
      },
      'split.revenueCap.currency',
      'sold in EUR, so its orders would not count',
    ],
    [
      {
        split: {
          ...{ arms: [{}, { offer: { key: 'nothing' } }], testPercent: 20, waitMinutes: 60, judge: 'clicks' },
        },
      },
      'split.arms.1.offer.key',
      'there is no offer "nothing"',
    ],
  ])('%j is refused at save, naming the field', async (change, field, message) => {
    await shop.publishOffer({ personalDeadline: false });
    const refused = await draft(change);
    expect(refused).toMatchObject({ status: 422, code: 'BROADCAST_OFFER_INVALID' });
    expect(refused['detail']).toContain(`${field}: `);
    expect(refused['detail']).toContain(message);
  });

  it.each([
    [{ offer: { key: 'kit', discount: '40%' } }, 'offer.until'],
    [{ offer: { key: 'kit', deadline: '3 days' } }, 'deadline'],
  ])('%j is refused before anything is looked up', async (change, field) => {
    const refused = await draft(change);
    expect(refused).toMatchObject({ status: 422 });
    expect(JSON.stringify(refused)).toContain(field);
  });

  it('is refused without an end where its discount is personal, which the checkout would not ask of everybody', async () => {
    await shop.publishOffer();
    await shop.mailTo('late@example.com', { expiresAt: new Date(OPENED_AT.getTime() - HOUR_MS) });
    const refused = await draft({ offer: { key: 'kit' } });
    expect(refused).toMatchObject({ status: 422, code: 'BROADCAST_OFFER_INVALID' });
    expect(refused['detail']).toContain('offer.until: the discount of "kit" is for those alone');
    await started({ offer: { key: 'kit', until: UNTIL } });
    expect((await mailOf('late@example.com')).subject).toContain('€34.30');
    expect(await asked('late@example.com')).toEqual(['€34.30', '€34.30']);
  });

  it('is missing from a mail that prints it, which the preflight says and the start refuses', async () => {
    await soldTo(1);
    const { id } = await draft({});
    const refused = await api('post', `/${String(id)}/start`);
    expect(refused).toMatchObject({ status: 422, code: 'BROADCAST_PREFLIGHT_INVALID' });
    expect(refused['detail']).toMatch(/offer\.\w+ }}, which sequence mails do not have/);
  });
});
