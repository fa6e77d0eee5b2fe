import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, BROWSER, OPENED_AT, openShop, type Shop } from '../orders/shop.js';

const DEADLINE = new Date(OPENED_AT.getTime() + 72 * 3_600_000);

describe('offers', () => {
  let shop: Shop;

  beforeAll(async () => {
    shop = await openShop();
    await shop.publishOffer();
  });

  afterAll(async () => shop?.close());

  it('keep their identity and take the new terms when they are published again', async () => {
    const first = await shop.publishOffer({ slug: 'again', discountBps: 1000 });
    expect(await shop.publishOffer({ slug: 'again', discountBps: 2000 })).toBe(first);
    expect(await shop.offers.findBySlug('again')).toMatchObject({
      id: first,
      discountBps: 2000,
      bump: { key: 'checklist' },
    });
  });

  it.each([
    [{ productKey: 'nothing' }, 'OFFER_PRODUCT_INVALID'],
    [{ bumpProductKey: 'nothing' }, 'OFFER_PRODUCT_INVALID'],
    [{ bumpProductKey: 'kit' }, 'OFFER_BUMP_INVALID'],
    [{ bumpProductKey: 'dollars' }, 'OFFER_BUMP_INVALID'],
    [{ funnelKey: 'another' }, 'OFFER_SLUG_CONFLICT'],
  ])('are refused with %j', async (changes, code) => {
    await shop.products.publish(shop.db.manager, {
      key: 'dollars',
      funnelKey: 'shop',
      name: 'D',
      description: '',
      price: { amountMinor: 1, currency: 'USD' },
      fileIds: [],
      licence: false,
    });
    await expect(shop.publishOffer(changes)).rejects.toMatchObject({ code });
  });

  it('leave the site when their funnel no longer names them, and come back when it does', async () => {
    const id = await shop.publishOffer({ slug: 'seasonal' });
    await shop.offers.archiveExcept(shop.db.manager, 'shop', ['kit', 'again']);
    expect(await shop.offers.findBySlug('seasonal')).toBeNull();
    expect(await shop.offers.findById(id)).toMatchObject({ slug: 'seasonal' });
    await shop.http.get('/offer/seasonal').expect(410);
    expect(await shop.publishOffer({ slug: 'seasonal' })).toBe(id);
    await shop.http.get('/offer/seasonal').expect(200);
  });

  it('are reduced for whom a step promised it, until their own deadline', async () => {
    const { messageId } = await shop.mailTo('promised@example.com', { expiresAt: DEADLINE });
    const at = async (now: Date) => shop.offers.terms('kit', messageId, now);
    expect(await at(new Date(DEADLINE.getTime() - 1))).toMatchObject({
      price: { amountMinor: 3430 },
      discountBps: 3000,
      expired: false,
      expiresAt: DEADLINE,
    });
    expect(await at(DEADLINE)).toMatchObject({ price: { amountMinor: 4900 }, discountBps: 0, expired: true });
  });

  it('cost the full price for strangers and for subscribers who were promised nothing', async () => {
    const { messageId } = await shop.mailTo('unpromised@example.com', null);
    expect(await shop.offers.terms('kit', null, OPENED_AT)).toMatchObject({
      price: { amountMinor: 4900 },
      expired: false,
      subscriberId: null,
    });
    expect(await shop.offers.terms('kit', messageId, OPENED_AT)).toMatchObject({
      price: { amountMinor: 4900 },
      expired: false,
    });
    expect(await shop.offers.terms('nothing', null, OPENED_AT)).toBeNull();
  });

  it('show the reader of a mail their price, and remember the visit', async () => {
    const { token, subscriberId, messageId } = await shop.mailTo('reader@example.com', {
      expiresAt: DEADLINE,
    });
    const page = await shop.http.get(`/offer/kit?m=${token}`).set('User-Agent', BROWSER).expect(200);
    expect(page.text).toContain('€34.30');
    expect(page.text).toContain(`/checkout/kit?m=${token}`);
    const visits = await shop.db.query(
      `select page, slug, funnel_key as "funnelKey", message_id as "messageId" from visit where subscriber_id = $1`,
      [subscriberId],
    );
    expect(visits).toEqual([{ page: 'offer', slug: 'kit', funnelKey: 'shop', messageId }]);
  });

  it.each(['/offer', '/checkout'])(
    'show whoever declined tracking their price, and remember nobody’s visit (%s)',
    async (address) => {
      const email = `unseen${address.replace('/', '-')}@example.com`;
      const { token, subscriberId } = await shop.mailTo(email, { expiresAt: DEADLINE });
      await shop.db.query('update subscriber set tracking_consent = false where id = $1', [subscriberId]);
      const [last]: { id: string }[] = await shop.db.query('select max(id) as id from visit');
      const page = await shop.http.get(`${address}/kit?m=${token}`).set('User-Agent', BROWSER).expect(200);
      expect(page.text).toContain('€34.30');
      const visits = await shop.db.query(
        `select slug, subscriber_id as "subscriberId", message_id as "messageId", referrer, utm from visit where id > $1`,
        [last?.id ?? '0'],
      );
      expect(visits).toEqual([
        { slug: 'kit', subscriberId: null, messageId: null, referrer: null, utm: null },
      ]);
    },
  );

  it.each(['/offer', '/checkout'])('show that the mail came that has their link (%s)', async (address) => {
    const email = `unclear${address.replace('/', '-')}@example.com`;
    const { token, messageId, subscriberId } = await shop.mailTo(email, { expiresAt: DEADLINE });
    await shop.db.query('update subscriber set tracking_consent = false where id = $1', [subscriberId]);
    await shop.db.query(`update message set state = 'unknown', unknown_count = 1 where id = $1`, [messageId]);
    await shop.http.get(`${address}/kit?m=${token}`).set('User-Agent', BROWSER).expect(200);
    const found: unknown[] = await shop.db.query('select state from message where id = $1', [messageId]);
    expect(found).toEqual([{ state: 'accepted' }]);
  });

  it('show the full price behind a forged token, and nothing is remembered of a link checker', async () => {
    const { token } = await shop.mailTo('forger@example.com', { expiresAt: DEADLINE });
    const [{ before }] = (await shop.db.query('select count(*)::int as before from visit')) as [
      { before: number },
    ];
    await shop.http.head(`/offer/kit?m=${token}`).expect(200);
    const [{ after }] = (await shop.db.query('select count(*)::int as after from visit')) as [
      { after: number },
    ];
    expect(after).toBe(before);
    const forged = `${token.slice(0, -2)}${token.endsWith('AA') ? 'BB' : 'AA'}`;
    const page = await shop.http.get(`/offer/kit?m=${forged}`).set('User-Agent', BROWSER).expect(200);
    expect(page.text).toContain('€49.00');
    expect(page.text).not.toContain('€34.30');
  });

  it('say that a price has ended and sell at the full one', async () => {
    const { token } = await shop.mailTo('late@example.com', { expiresAt: DEADLINE });
    shop.clock.set(DEADLINE);
    const page = await shop.http.get(`/offer/kit?m=${token}`).expect(200);
    shop.clock.set(OPENED_AT);
    expect(page.text).toContain('This price has ended');
    expect(page.text).toContain('Buy for €49.00');
  });

  it('are listed for programs page by page, with what they cost', async () => {
    const get = (path: string) => shop.http.get(`/api/v1${path}`).set('Authorization', `Bearer ${API_KEY}`);
    const first = await get('/offers?limit=1').expect(200);
    expect(first.body.data).toHaveLength(1);
    const second = await get(`/offers?limit=1&cursor=${first.body.nextCursor as string}`).expect(200);
    expect(second.body.data[0].id).not.toBe(first.body.data[0].id);
    expect((await get('/offers/kit').expect(200)).body).toMatchObject({
      slug: 'kit',
      productKey: 'kit',
      bumpProductKey: 'checklist',
      fullPrice: { amountMinor: 4900, currency: 'EUR' },
      discountBps: 3000,
    });
    expect((await get('/products/kit').expect(200)).body).toMatchObject({
      key: 'kit',
      price: { amountMinor: 4900, currency: 'EUR' },
      licence: true,
    });
    expect((await get('/products').expect(200)).body.data.map(({ key }: { key: string }) => key)).toContain(
      'checklist',
    );
    expect((await get('/offers/nothing').expect(404)).body.code).toBe('OFFER_NOT_FOUND');
    await shop.http.get('/api/v1/offers').expect(401);
  });
});
