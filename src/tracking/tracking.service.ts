import { createHmac } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { Wake } from '../infra/jobs/wake.js';
import type { Money } from '../values/money.js';
import { forgetSubscriber } from './forget.queries.js';
import { classifyHit, HIT_RULE_VERSION, isLoopback, type Hit, type HitVerdict } from './hit-class.js';
import {
  type ConversionRow,
  insertTrackingEvent,
  linkUrl,
  listConversions,
  trackedMessage,
} from './tracking.queries.js';
import { visitSource } from './visit-source.js';

/** What of a request tells who is there; a `FastifyRequest` is one. */
export interface RequestFacts {
  ip: string;
  method: string;
  headers: IncomingHttpHeaders;
  query: unknown;
}

export interface Visit {
  page: 'squeeze' | 'offer' | 'checkout';
  slug: string;
  funnelKey: string;
  subscriberId?: string;
  messageId?: string;
  request: RequestFacts;
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

const VISITOR_BYTES = 16;
const MAX_USER_AGENT_CHARS = 500;

/** What people did. The only writer of `tracking_event`, `visit` and `conversion`. */
@Injectable()
export class TrackingService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wake: Wake,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Whether an installation that reads its own mail would call this request a person's. */
  classify(request: RequestFacts, kind: Hit['kind'], acceptedAt: Date | null): HitVerdict {
    const { headers } = request;
    const purpose = headers['sec-purpose'] ?? headers['purpose'] ?? headers['x-purpose'] ?? headers['x-moz'];
    return classifyHit({
      kind,
      method: request.method,
      userAgent: headers['user-agent'],
      purpose: Array.isArray(purpose) ? purpose.join(' ') : purpose,
      fromLoopback: isLoopback(request.ip),
      mailboxOn: this.config.mailboxOn,
      at: this.clock.now(),
      acceptedAt,
    });
  }

  /**
   * Records an open or a click, and lets waiting sequence steps know of a person's click at once. Nothing is recorded
   * of a mail that is gone or of a reader who does not want it.
   */
  async recordHit(
    hit: { kind: 'open' | 'click'; messageId: string; linkId: string | null },
    request: RequestFacts,
  ): Promise<HitVerdict | null> {
    const message = await trackedMessage(this.dataSource.manager, hit.messageId);
    if (!message?.mayTrack) return null;
    const verdict = this.classify(request, hit.kind, message.acceptedAt);
    const at = this.clock.now();
    await this.dataSource.transaction(async (manager) => {
      await insertTrackingEvent(manager, {
        ...hit,
        ...verdict,
        ruleVersion: HIT_RULE_VERSION,
        userAgent: userAgentOf(request),
        ipHash: this.dailyHash('ip', at, request.ip),
        at,
      });
      if (hit.kind === 'click' && verdict.class === 'human')
        await this.wake.notify(manager, 'sequences.advance-due');
    });
    return verdict;
  }

  /** The address of a link that is the same for everybody; null when there is none. */
  async linkUrl(linkId: string): Promise<string | null> {
    return linkUrl(this.dataSource.manager, linkId);
  }

  /** A look at one of our pages. Link checkers ask by HEAD and see no page: nothing is recorded for them. */
  async recordVisit({ request, ...visit }: Visit): Promise<void> {
    if (request.method === 'HEAD') return;
    const at = this.clock.now();
    const verdict = this.classify(request, 'visit', null);
    const { referrer, utm } = visitSource(request, this.config.baseUrl);
    await this.dataSource.query(
      `insert into visit (visitor_id, page, slug, funnel_key, subscriber_id, message_id, class, user_agent, referrer, utm, at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      [
        this.visitorId(request.ip, request.headers['user-agent'] ?? '', at),
        visit.page,
        visit.slug,
        visit.funnelKey,
        visit.subscriberId ?? null,
        visit.messageId ?? null,
        verdict.class === 'proxy' ? 'unknown' : verdict.class,
        userAgentOf(request),
        referrer,
        utm === null ? null : JSON.stringify(utm),
        at,
      ],
    );
  }

  /** In the transaction of what it counts. False when the key was recorded before, which changes nothing. */
  async recordConversion(manager: EntityManager, conversion: Conversion): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `insert into conversion (kind, funnel_key, dedupe_key, subscriber_id, visitor_id, message_id, order_id, amount_minor, currency, at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (dedupe_key) do nothing returning id`,
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
    return this.dailyHash('visitor', now, `${ip}\0${userAgent}`);
  }

  /** The person is erased: their hits still count, and tell nothing about anybody. */
  async forget(manager: EntityManager, subscriberId: string): Promise<void> {
    await forgetSubscriber(manager, subscriberId);
  }

  private dailyHash(purpose: string, at: Date, value: string): Buffer {
    const day = at.toISOString().slice(0, 10);
    return createHmac('sha256', this.config.secretKey)
      .update(`${purpose}\0${day}\0${value}`)
      .digest()
      .subarray(0, VISITOR_BYTES);
  }
}

function userAgentOf({ headers }: RequestFacts): string | null {
  return headers['user-agent']?.slice(0, MAX_USER_AGENT_CHARS) ?? null;
}
