import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clawedBackOf, commissionsOf, type Party, shareOf } from '../../../src/affiliates/commission.js';
import { landingPath, readLanding } from '../../../src/affiliates/landing.js';
import { mailboxOf } from '../../../src/values/mailbox.js';
import { wouldLoop } from '../../../src/affiliates/recruiting-tree.js';
import {
  creditedTouch,
  MAX_TOUCHES,
  readTouches,
  withTouch,
  writeTouches,
} from '../../../src/affiliates/touch.js';

const party = (affiliateId: string, changes: Partial<Party> = {}): Party => ({
  ...{ affiliateId, isActive: true, isBuyer: false },
  ...changes,
});
const rates = { commissionBps: 3000, secondTierBps: 1000 };
const kit = [{ id: '7', netMinor: 3430 }];

describe('commissions', () => {
  it('are shares of what was paid for each product, rounded down, in two tiers', () => {
    const lines = [...kit, { id: '8', netMinor: 999 }, { id: '9', netMinor: 0 }];
    const earned = commissionsOf({ lines, rates, affiliate: party('1'), recruiter: party('2') });
    expect(
      earned.map(({ lineId, affiliateId, tier, amountMinor }) => [lineId, affiliateId, tier, amountMinor]),
    ).toEqual([
      ['7', '1', 1, 1029],
      ['7', '2', 2, 343],
      ['8', '1', 1, 299],
      ['8', '2', 2, 99],
    ]);
    const alone = commissionsOf({ lines: kit, rates, affiliate: party('1'), recruiter: null });
    expect(alone).toHaveLength(1);
    const oneTier = { commissionBps: 3000, secondTierBps: 0 };
    expect(
      commissionsOf({ lines: kit, rates: oneTier, affiliate: party('1'), recruiter: party('2') }),
    ).toHaveLength(1);
  });

  it.each([
    ['the affiliate buys', { isBuyer: true }, {}, [[1, 0, 'self_referral']]],
    ['the affiliate is paused', { isActive: false }, {}, [[1, 0, 'affiliate_paused']]],
    [
      'the recruiter buys',
      {},
      { isBuyer: true },
      [
        [1, 1029, null],
        [2, 0, 'recruiter_is_buyer'],
      ],
    ],
    [
      'the recruiter is paused',
      {},
      { isActive: false },
      [
        [1, 1029, null],
        [2, 0, 'recruiter_paused'],
      ],
    ],
  ])('where %s say so and earn nothing', (_, affiliate, recruiter, expected) => {
    const earned = commissionsOf({
      ...{ lines: kit, rates },
      affiliate: party('1', affiliate),
      recruiter: party('2', recruiter),
    });
    expect(earned.map(({ tier, amountMinor, refusal }) => [tier, amountMinor, refusal])).toEqual(expected);
  });

  const bps = fc.integer({ min: 0, max: 10_000 });
  const minor = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const sale = fc.record({
    lines: fc
      .array(minor, { maxLength: 5 })
      .map((all) => all.map((netMinor, id) => ({ id: String(id), netMinor }))),
    rates: fc.record({ commissionBps: bps, secondTierBps: bps }),
    affiliate: fc.record({ affiliateId: fc.constant('1'), isActive: fc.boolean(), isBuyer: fc.boolean() }),
    recruiter: fc.option(
      fc.record({ affiliateId: fc.constant('2'), isActive: fc.boolean(), isBuyer: fc.boolean() }),
    ),
  });

  it('never pass the share of what was paid that both rates are together, and never pay the buyer', () => {
    fc.assert(
      fc.property(sale, ({ lines, rates, affiliate, recruiter }) => {
        const earned = commissionsOf({ lines, rates, affiliate, recruiter });
        for (const { id, netMinor } of lines) {
          const sum = earned
            .filter(({ lineId }) => lineId === id)
            .reduce((all, one) => all + one.amountMinor, 0);
          const share = Math.min(rates.commissionBps + rates.secondTierBps, 10_000);
          expect(sum).toBeLessThanOrEqual(shareOf(netMinor, share));
        }
        const paid = earned
          .filter(({ amountMinor }) => amountMinor > 0)
          .map(({ affiliateId }) => affiliateId);
        const buyers: string[] = [affiliate, recruiter].flatMap((one) =>
          one?.isBuyer === true ? [one.affiliateId] : [],
        );
        expect(paid.filter((id) => buyers.includes(id))).toEqual([]);
        expect(new Set(earned.map(({ lineId, tier }) => `${lineId} ${tier}`)).size).toBe(earned.length);
      }),
    );
  });

  it('are clawed back with the money, part by part, and wholly with all of it', () => {
    const refunds = fc.tuple(minor, bps, fc.array(fc.integer({ min: 0, max: 1_000_000 }), { maxLength: 6 }));
    fc.assert(
      fc.property(refunds, ([total, rate, parts]) => {
        const amount = shareOf(total, rate);
        let [refunded, before] = [0, 0];
        for (const part of [...parts, total]) {
          refunded = Math.min(refunded + part, total);
          const back = clawedBackOf(amount, { refundedMinor: refunded, totalMinor: total });
          expect(back).toBeGreaterThanOrEqual(before);
          expect(amount - back).toBeLessThanOrEqual(shareOf(total - refunded, rate));
          before = back;
        }
        expect(before).toBe(amount);
      }),
    );
    expect(clawedBackOf(1029, { refundedMinor: 1, totalMinor: 3430 })).toBe(1);
  });
});

describe('the tree of recruiters', () => {
  it('stays one, whatever is asked for in whichever order', () => {
    const id = fc.integer({ min: 1, max: 8 }).map(String);
    fc.assert(
      fc.property(fc.array(fc.tuple(id, id), { maxLength: 40 }), (asked) => {
        const recruiterOf = new Map<string, string>();
        for (const [affiliate, recruiter] of asked)
          if (!wouldLoop(recruiterOf, affiliate, recruiter)) recruiterOf.set(affiliate, recruiter);
        for (const from of recruiterOf.keys()) {
          const way = [from];
          for (let at = recruiterOf.get(from); at !== undefined; at = recruiterOf.get(at)) {
            expect(way).not.toContain(at);
            way.push(at);
          }
        }
      }),
    );
    expect(wouldLoop(new Map(), '1', '1')).toBe(true);
    expect(
      wouldLoop(
        new Map([
          ['1', '2'],
          ['3', '2'],
        ]),
        '3',
        '1',
      ),
    ).toBe(false);
    expect(
      wouldLoop(
        new Map([
          ['2', '1'],
          ['3', '2'],
        ]),
        '1',
        '3',
      ),
    ).toBe(true);
  });
});

describe('a mailbox', () => {
  it.each([
    ['ada.winters+shop@gmail.com', 'adawinters@gmail.com'],
    ['adawinters@googlemail.com', 'adawinters@gmail.com'],
    ['ada.winters@example.com', 'ada.winters@example.com'],
    ['ada+1@example.com', 'ada@example.com'],
    ['+ada@example.com', '+ada@example.com'],
  ])('%s is %s', (key, mailbox) => expect(mailboxOf(key)).toBe(mailbox));
});

describe('a touch', () => {
  const secret = Buffer.alloc(32, 1);
  const at = (day: number) => new Date(Date.UTC(2026, 0, day));

  it('is read as it was written, and from nobody else', () => {
    const touches = [4, 5].map((day) => ({ affiliateId: String(day), at: at(day) }));
    const cookie = writeTouches(secret, touches);
    expect(readTouches(secret, cookie)).toEqual(touches);
    for (const forged of [undefined, '', 'x', `${cookie.slice(0, -1)}A`, `A${cookie.slice(1)}`])
      expect(readTouches(secret, forged === cookie ? '' : forged)).toEqual([]);
    expect(readTouches(Buffer.alloc(32, 2), cookie)).toEqual([]);
  });

  it('is remembered with those before it while the longest window is open, the oldest and the newest of many', () => {
    const days = (touches: readonly { affiliateId: string }[]) =>
      touches.map(({ affiliateId }) => Number(affiliateId));
    let touches: { affiliateId: string; at: Date }[] = [];
    for (let day = 1; day <= 20; day++)
      touches = withTouch(touches, { affiliateId: String(day), at: at(day) }, ['3 days', '30 days']);
    expect(days(touches)).toEqual([...Array.from({ length: MAX_TOUCHES - 1 }, (_, index) => index + 1), 20]);
    touches = withTouch(touches, { affiliateId: '38', at: at(38) }, ['3 days', '30 days']);
    expect(days(touches)).toEqual([9, 10, 11, 20, 38]);
    for (let minute = 1; minute <= 30; minute++)
      touches = withTouch(touches, { affiliateId: '7', at: new Date(at(39).getTime() + minute * 60_000) }, [
        '30 days',
      ]);
    expect(days(touches)).toEqual([10, 11, 20, 38, 7, 7]);
    const cookie = writeTouches(secret, touches);
    expect([cookie.length < 1_000, readTouches(secret, cookie)]).toEqual([true, touches]);
  });

  it('that is credited is one of those that are open, and none lies beyond it on its side', () => {
    const touch = fc.record({
      affiliateId: fc.nat(5).map(String),
      at: fc.integer({ min: 1, max: 200 }).map(at),
    });
    const when = fc.record({
      at: fc.integer({ min: 1, max: 200 }).map(at),
      days: fc.integer({ min: 1, max: 90 }),
    });
    fc.assert(
      fc.property(fc.array(touch, { maxLength: 9 }), when, (touches, { at: now, days }) => {
        const window = `${days} days`;
        const open = touches.filter(
          (one) => one.at <= now && one.at.getTime() + days * 86_400_000 > now.getTime(),
        );
        const times = open.map((one) => one.at.getTime());
        const credited = (attribution: 'last' | 'first') =>
          creditedTouch(touches, { at: now, window, attribution })?.at.getTime();
        expect(credited('first')).toBe(times.length === 0 ? undefined : Math.min(...times));
        expect(credited('last')).toBe(times.length === 0 ? undefined : Math.max(...times));
      }),
    );
  });

  it('counts when it is the last, for the length of the window to the millisecond', () => {
    const attribution = 'last';
    const touches = [1, 3, 2].map((day) => ({ affiliateId: String(day), at: at(day) }));
    expect(creditedTouch(touches, { at: at(4), window: '60 days', attribution })?.affiliateId).toBe('3');
    expect(
      creditedTouch(touches, { at: new Date(at(2).getTime() + 1), window: '60 days', attribution })
        ?.affiliateId,
    ).toBe('2');
    const end = new Date(Date.UTC(2026, 2, 4));
    expect(
      creditedTouch(touches, { at: new Date(end.getTime() - 1), window: '60 days', attribution })
        ?.affiliateId,
    ).toBe('3');
    expect(creditedTouch(touches, { at: end, window: '60 days', attribution })).toBeNull();
  });
});

describe('where a link leads', () => {
  it.each(['/p/niches', '/offer/launch-kit', '/checkout/launch-kit'])('is %s', (path) => {
    const landing = readLanding(path);
    expect(landing && landingPath(landing)).toBe(path);
  });

  it.each([
    ...[
      'https://evil.example/',
      '//evil.example',
      '/\\evil.example',
      '/p/../admin',
      '/p/niches?x=1',
      '/p/niches/',
    ],
    ...[
      '/admin',
      '/a/other',
      ' /p/niches',
      '/p/niches\r\nset-cookie: a=b',
      '/P/niches',
      '',
      undefined,
      ['/p/niches'],
    ],
  ])('is never %j', (to) => expect(readLanding(to)).toBeNull());
});
