import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import type { Money } from '../values/money.js';
import { dailyHash } from './daily-hash.js';
import { forgetSeen, holdSeen } from './forget.queries.js';
import { headerFacts, type RequestFacts } from './hit-batch.js';
import { classifyHit, type HitVerdict, isLoopback } from './hit-class.js';
import { type ConversionRow, listConversions } from './conversions.queries.js';
import { marksOfPage, visitSource, type VisitSource } from './visit-source.js';

/** Some 2 MB. */
const MOST_UNWRITTEN = 10_000;

export interface Visit {
  page: 'squeeze' | 'offer' | 'checkout';
  slug: string;
  funnelKey: string;
  subscriberId?: string;
  messageId?: string;
  request: RequestFacts;
  /** When it was, if that was not now. */
  at?: Date;
}

export interface Conversion {
  kind: 'signup' | 'confirmation' | 'order';
  funnelKey: string;
  /** One conversion for each key, however often it is recorded: `signup:<id>`, `order:<id>`. */
  dedupeKey: string;
  subscriberId?: string;
  visitorId?: Buffer;
  messageId?: string;
  orderId?: string;
  money?: Money;
}

/** What people did on our pages. The only writer of `visit` and `conversion`. */
@Injectable()
export class TrackingService {
  /** By browser, where those came from of whose look the database knows nothing. */
  readonly #unwritten = new Map<string, VisitSource>();

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Who most likely stands behind a request for one of our pages. */
  classifyVisit(request: RequestFacts, at = this.clock.now()): HitVerdict {
    return classifyHit({
      kind: 'visit',
      ...headerFacts(request),
      network: null,
      local: this.config.mailboxOn && isLoopback(request.ip),
      at,
      acceptedAt: null,
    });
  }

  /**
   * A look at one of our pages. Link checkers ask by HEAD and see no page: nothing is recorded for them. Of whoever does
   * not want to be seen it is a look by anybody: the token of their mail is for the price it promised, and no more.
   */
  async recordVisit({ request, at = this.clock.now(), ...visit }: Visit): Promise<void> {
    if (request.method === 'HEAD') return;
    const verdict = this.classifyVisit(request, at);
    const { referrer, utm } = visitSource(request, this.config.baseUrl);
    await this.asSeen(visit.subscriberId, async (manager) =>
      manager.query(
        `insert into visit (visitor_id, page, slug, funnel_key, subscriber_id, message_id, class, user_agent, referrer, utm, at)
         select $1, $2, $3, $4, person.id, case when person.id is not null then $6::bigint end, $7, $8, $9, $10, $11
         from (select 1) one left join subscriber person on person.id = $5 and person.tracking_consent`,
        [
          this.visitorId(request.ip, request.headers['user-agent'] ?? '', at),
          visit.page,
          visit.slug,
          visit.funnelKey,
          visit.subscriberId ?? null,
          visit.messageId ?? null,
          verdict.class === 'proxy' ? 'unknown' : verdict.class,
          headerFacts(request).userAgent,
          referrer,
          utm === null ? null : JSON.stringify(utm),
          at,
        ],
      ),
    );
  }

  /** In place of `recordVisit` while the database takes nothing: for the sign-up that may follow, as `sourceOf` says it. */
  rememberVisit(request: RequestFacts): void {
    const source = visitSource(request, this.config.baseUrl);
    if (source.referrer === null && source.utm === null) return;
    const browser = this.browserOf(request);
    this.#unwritten.delete(browser);
    this.#unwritten.set(browser, source);
    const [oldest] = this.#unwritten.keys();
    if (this.#unwritten.size > MOST_UNWRITTEN && oldest !== undefined) this.#unwritten.delete(oldest);
  }

  /** Where whoever sends a form came from: as their look was remembered, else as the address says of the page that they send it from. */
  sourceOf(request: RequestFacts): VisitSource {
    const seen = this.#unwritten.get(this.browserOf(request));
    return seen ?? { referrer: null, utm: marksOfPage(request.headers.referer, this.config.baseUrl) };
  }

  private browserOf({ ip, headers }: RequestFacts): string {
    return this.visitorId(ip, headers['user-agent'] ?? '', this.clock.now()).toString('base64');
  }

  /** Nobody takes a consent back while it is gone by; who is nobody we know has none to take back. */
  private async asSeen(
    subscriberId: string | undefined,
    write: (manager: EntityManager) => Promise<unknown>,
  ): Promise<void> {
    if (subscriberId === undefined) await write(this.dataSource.manager);
    else
      await this.dataSource.transaction(async (manager) => {
        await holdSeen(manager);
        await write(manager);
      });
  }

  /**
   * In the transaction of what it counts. Of whoever does not want to be seen, buyer or reader of the mail that led here,
   * it keeps no mark of their browser, which would tie it to all they looked at that day. False when the key was recorded before, which changes nothing. */
  async recordConversion(manager: EntityManager, conversion: Conversion): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `insert into conversion (kind, funnel_key, dedupe_key, subscriber_id, visitor_id, message_id, order_id, amount_minor, currency, at)
       select $1, $2, $3, $4::bigint, case when not exists (select 1 from subscriber s where not s.tracking_consent
         and s.id in ($4::bigint, (select m.subscriber_id from message m where m.id = $6::bigint))) then $5::bytea end,
         $6::bigint, $7::bigint, $8::bigint, $9, $10::timestamptz
       on conflict (dedupe_key) do nothing returning id`,
      [
        conversion.kind,
        conversion.funnelKey,
        conversion.dedupeKey,
        conversion.subscriberId ?? null,
        conversion.visitorId ?? null,
        conversion.messageId ?? null,
        conversion.orderId ?? null,
        conversion.money?.amountMinor ?? null,
        conversion.money?.currency ?? null,
        this.clock.now(),
      ],
    );
    return rows.length === 1;
  }

  async conversions(page: Parameters<typeof listConversions>[1]): Promise<ConversionRow[]> {
    return listConversions(this.dataSource.manager, page);
  }

  /** The same browser on the same UTC day, without a cookie and without a way back to the address. */
  visitorId(ip: string, userAgent: string, now: Date): Buffer {
    const day = now.toISOString().slice(0, 10);
    return dailyHash(this.config.secretKey, { purpose: 'visitor', day, value: `${ip}\0${userAgent}` });
  }

  /** The person does not want to be counted any more, and what was seen of them is not kept. */
  async forgetSeen(manager: EntityManager, subscriberId: string): Promise<void> {
    await forgetSeen(manager, subscriberId);
  }
}
