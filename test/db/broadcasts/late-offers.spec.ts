import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HOUR_MS, openOfferShop, UNTIL, type OfferShop } from './offer-shop.js';

/** Half the price until `UNTIL` for all readers; a second broadcast then offers the same for no price of its own. */
describe('a mail of a broadcast that tells of an earlier promise and goes late', () => {
  let desk: OfferShop;
  beforeAll(async () => {
    desk = await openOfferShop();
  });
  afterAll(async () => desk?.close());
  afterEach(async () => desk.clear());

  const told = async (): Promise<{ subject: string; text: string }> => {
    const { subject, text } = await desk.mailOf('p1@example.com');
    return { subject, text };
  };
  /** Its mail is written and waits, and tells of the promise. */
  const waiting = async (): Promise<string> => {
    await desk.soldTo(1, { personalDeadline: false, discountBps: 0 });
    await desk.started({ offer: { key: 'kit', discount: '50%', until: UNTIL } });
    desk.sink.mails.length = 0;
    const id = await desk.started(
      { offer: { key: 'kit' } },
      { atLocal: '2026-03-05T08:00', fallbackZone: 'UTC' },
    );
    until(-2);
    await desk.settle();
    expect(await desk.api('get', `/${id}`)).toMatchObject({ counts: { ready: 1 } });
    return id;
  };
  const until = (hoursAfterEnd: number): void => {
    desk.shop.clock.set(new Date(Date.parse(UNTIL) + hoursAfterEnd * HOUR_MS));
  };

  it('tells of it while it holds', async () => {
    await waiting();
    until(-1);
    await desk.settle();
    expect((await told()).subject).toContain('€24.50');
  });

  const saidAndAsked = async (): Promise<unknown> => {
    const { subject, text } = await told();
    return { subject, oldEnd: text.includes('5 Mar'), asked: await desk.asked('p1@example.com') };
  };
  const fullPrice = { subject: 'Launch kit, for €49.00', oldEnd: false, asked: ['€49.00', '€49.00'] };

  it('says what is asked by then, after a pause of the broadcast', async () => {
    const id = await waiting();
    await desk.api('post', `/${id}/pause`);
    until(0);
    await desk.settle();
    await desk.api('post', `/${id}/resume`);
    await desk.settle();
    expect(await saidAndAsked()).toEqual(fullPrice);
  });

  it('says what is asked by then, when the relay would not take it before', async () => {
    await waiting();
    until(-1);
    desk.sink.onRecipient = async () => 451;
    try {
      await desk.settle();
    } finally {
      desk.sink.onRecipient = async () => undefined;
    }
    until(1);
    await desk.settle();
    expect(await saidAndAsked()).toEqual(fullPrice);
  });
});
