import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { ReactionsService } from '../sequences/events/reactions.service.js';
import { readCode } from './affiliate.js';
import { AffiliateTermsService, USUAL_WAY } from './affiliate-terms.service.js';
import {
  activeOf,
  insertOrderTouch,
  keepTouches,
  orderTouchOf,
  storedTouches,
  textOf,
  touchesOf,
} from './referrals.queries.js';
import {
  type Attribution,
  creditedTouch,
  lastTouch,
  type OrderTouch,
  readTouches,
  type Touch,
} from './touch.js';

/** The cookie that remembers by whose link a browser came. */
export const REFERRAL_COOKIE = 'ws_referral';

/** As a request brings it: the cookie of the browser, or the code that stood in the address of another site's page. */
export interface TouchSource {
  cookie?: string | undefined;
  code?: string | undefined;
}

/** `emailKey` is that of the address typed at the checkout, null for one that cannot be read; `readerId`: whose mail led to it. */
interface PlacedOrder {
  orderId: string;
  funnelKey: string;
  emailKey: string | null;
  readerId: string | null;
  source: TouchSource;
}

/**
 * Who came by whose link. The last click is whom somebody came by: a later one takes the place of an earlier. What earns by
 * an order is the last or the first, as its funnel says. The only writer of `referral`, `referral_touch`,
 * `signup_referral`, `order_referral` and `affiliate_click`.
 */
@Injectable()
export class ReferralsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly terms: AffiliateTermsService,
    private readonly reactions: ReactionsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** A click on the link of an active affiliate, counted by day and by nothing else; null for any other code. */
  async click(text: string): Promise<Touch | null> {
    const code = readCode(text);
    if (code === null) return null;
    const at = this.clock.now();
    const rows: { affiliateId: string }[] = await this.dataSource.query(
      `insert into affiliate_click (affiliate_id, day, clicks)
       select id, ($2::timestamptz at time zone 'UTC')::date, 1 from affiliate where code = $1 and state = 'active'
       on conflict (affiliate_id, day) do update set clicks = affiliate_click.clicks + 1
       returning affiliate_id as "affiliateId"`,
      [code, at],
    );
    return rows[0] ? { affiliateId: rows[0].affiliateId, at } : null;
  }

  /**
   * A sign-up by somebody with a touch waits for the confirmation, in the transaction of the sign-up: whoever types
   * other people's addresses into a form must not become the affiliate of them all. Nor does it count who types the
   * address once more from another browser while it waits: the mail that asks goes to the first one's address. `at`: when
   * they signed up, if that was not now.
   */
  async signedUp(
    manager: EntityManager,
    signup: {
      signupId: string;
      funnelKey: string;
      visitorId: Buffer;
      source: TouchSource;
      at?: Date | undefined;
    },
  ): Promise<void> {
    const { signupId, funnelKey, visitorId, source, at = this.clock.now() } = signup;
    const touches = await this.browserTouches(manager, source, at);
    if (touches.length === 0) return;
    const { cookie: window } = (await this.terms.of(funnelKey, manager)) ?? USUAL_WAY;
    // Of somebody paused the click does not hide one before it, which a funnel that pays the first looks for.
    const active = await activeOf(manager, touches);
    const touch = creditedTouch(active, { at, window, attribution: 'last' });
    if (touch === null) return;
    await manager.query(
      `insert into signup_referral (signup_id, affiliate_id, touched_at, touches)
       select g.id, a.id, $3, $5 from affiliate a, signup g
        where a.id = $2 and a.state = 'active' and g.id = $1 and g.visitor_id = $4
       on conflict (signup_id) do update set affiliate_id = excluded.affiliate_id, touched_at = excluded.touched_at,
         touches = excluded.touches`,
      [signupId, touch.affiliateId, touch.at, visitorId, textOf(touches)],
    );
  }

  /** `isProven`: by the mail to the address. Without that, nobody loses the affiliate they have. */
  async confirmed(
    manager: EntityManager,
    { signupId, subscriberId, isProven }: { signupId: string; subscriberId: string; isProven: boolean },
  ): Promise<void> {
    const rows: { affiliateId: string; at: Date; touches: unknown }[] = await manager.query(
      `with gone as (delete from signup_referral where signup_id = $1 returning affiliate_id, touched_at, touches)
       select affiliate_id as "affiliateId", touched_at as at, touches from gone`,
      [signupId],
    );
    const [row] = rows;
    if (row === undefined) return;
    const { touches, ...touch } = row;
    const earlier = storedTouches(touches);
    await this.keep(manager, subscriberId, { touch, earlier, source: 'form', isProven });
  }

  /**
   * The touch that earns by an order, the last or the first as its funnel says, in the transaction that places it: of the
   * browser, of the buyer, of the mail's reader. Its window is open now or not, however long the payment takes. Whoever
   * sends the checkout once more after another click, before they pay, has come by that one too.
   */
  async ordered(manager: EntityManager, order: PlacedOrder): Promise<void> {
    const { orderId, funnelKey, emailKey, readerId, source } = order;
    const now = this.clock.now();
    const { cookie: window, attribution } = (await this.terms.of(funnelKey, manager)) ?? USUAL_WAY;
    const browser = await this.browserTouches(manager, source, now);
    const people = await touchesOf(manager, { subscriberIds: readerId === null ? [] : [readerId], emailKey });
    const touches: OrderTouch[] = [
      ...browser.map((touch) => ({ ...touch, via: 'checkout' as const })),
      ...people.map((touch) => ({ ...touch, via: 'subscriber' as const })),
    ];
    const touch = creditedTouch(touches, { at: now, window, attribution });
    if (touch === null) return;
    await insertOrderTouch(manager, orderId, { touch, browser, attribution });
  }

  /**
   * By whom a paid order came: as it stood when it was placed, or, by a sign-up that was confirmed since, of before that.
   * `clicks`: what is to be kept with the buyer; where the first click earns, they came by the last all the same.
   */
  async touchOf(
    manager: EntityManager,
    order: {
      orderId: string;
      placedAt: Date;
      window: string;
      attribution: Attribution;
      subscriberIds: readonly string[];
    },
  ): Promise<{ touch: OrderTouch; clicks: { touch: Touch; earlier: Touch[] } } | null> {
    const { orderId, placedAt, window, attribution, subscriberIds } = order;
    const placed = await orderTouchOf(manager, orderId);
    const since = await touchesOf(manager, { subscriberIds, emailKey: null });
    const known = creditedTouch(since, { at: placedAt, window, attribution });
    const found: OrderTouch | null = known && { ...known, via: 'subscriber' };
    const touch = better(placed?.touch ?? null, found, attribution);
    return touch && { touch, clicks: lastTouch(touch, placed?.browser ?? []) };
  }

  /**
   * Keeps a touch with a person, unless they have a later one, and those before it beside it. Their sequences hear of it when
   * it is another affiliate's.
   */
  async keep(
    manager: EntityManager,
    subscriberId: string,
    kept: { touch: Touch; earlier?: readonly Touch[]; source: 'form' | 'checkout'; isProven: boolean },
  ): Promise<void> {
    const { touch, earlier = [], source, isProven } = kept;
    await keepTouches(manager, subscriberId, { touches: [...earlier, touch], isProven });
    const news: { code: string; isFirst: boolean }[] = await manager.query(
      `with before as (select affiliate_id from referral where subscriber_id = $1),
         kept as (
           insert into referral (subscriber_id, affiliate_id, touched_at, source, recorded_at) values ($1, $2, $3, $4, $5)
           on conflict (subscriber_id) do update set affiliate_id = excluded.affiliate_id, touched_at = excluded.touched_at,
             source = excluded.source, recorded_at = excluded.recorded_at
           where $6 and referral.touched_at < excluded.touched_at
           returning affiliate_id)
       select a.code, before.affiliate_id is null as "isFirst"
         from kept join affiliate a on a.id = kept.affiliate_id left join before on true
        where before.affiliate_id is distinct from kept.affiliate_id`,
      [subscriberId, touch.affiliateId, touch.at, source, this.clock.now(), isProven],
    );
    for (const { code, isFirst } of news)
      for (const whose of isFirst ? ['any', code] : [code])
        await this.reactions.happened(manager, [subscriberId], { kind: 'affiliate', whose });
  }

  private async browserTouches(
    manager: EntityManager,
    { cookie, code }: TouchSource,
    at: Date,
  ): Promise<Touch[]> {
    const touches = readTouches(this.config.secretKey, cookie);
    const named = code === undefined ? null : readCode(code);
    if (named !== null) {
      const rows: { id: string }[] = await manager.query(
        `select id from affiliate where code = $1 and state = 'active'`,
        [named],
      );
      if (rows[0]) touches.push({ affiliateId: rows[0].id, at });
    }
    return touches;
  }
}

function better(
  placed: OrderTouch | null,
  since: OrderTouch | null,
  attribution: Attribution,
): OrderTouch | null {
  if (placed === null || since === null) return placed ?? since;
  const isBetter = attribution === 'first' ? since.at < placed.at : since.at > placed.at;
  return isBetter ? since : placed;
}
