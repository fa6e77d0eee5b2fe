import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { GenerationGuard } from '../../delivery/generation/generation-guard.service.js';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { SafeFetch, type FetchOutcome } from '../../infra/safe-fetch.js';
import { webhookHeaders, webhookRetryMinutes } from './webhook.js';
import { MINUTE_MS } from '../../values/time-units.js';

const AT_ONCE = 20;
/** A process that dies while it posts leaves the delivery to the next, after this. */
const LEASE_MINUTES = 5;

interface Delivery {
  id: string;
  url: string;
  attempt: number;
  stepKey: string;
  enrollmentId: string;
  createdAt: Date;
  sequenceKey: string | null;
  /** Null when the person has been erased. */
  subscriber: Record<string, unknown> | null;
}

interface WebhookRow {
  id: string;
  enrollmentId: string;
  stepKey: string;
  url: string;
  state: 'waiting' | 'delivered' | 'failed';
  attempt: number;
  dueAt: Date;
  statusCode: number | null;
  reason: string | null;
  createdAt: Date;
  settledAt: Date | null;
}

/** Posts what webhook steps have written down, at least once, until the receiver takes it or two days are over. */
@Injectable()
export class WebhooksService implements OnModuleDestroy {
  readonly #fetch: SafeFetch;

  constructor(
    private readonly dataSource: DataSource,
    private readonly guard: GenerationGuard,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    // No origin of our own: a step that posts to this very installation goes the way of all others.
    this.#fetch = new SafeFetch('', undefined, config.webhookPrivateNetworks);
  }

  async onModuleDestroy(): Promise<void> {
    await this.#fetch.close();
  }

  /**
   * Tries those that are due, twenty at a time. Returns how many were tried. None while the database may not send: that of
   * which it is a copy posts the same steps, and the ids by which a receiver knows them again differ.
   */
  async deliverDue(): Promise<number> {
    if (!(await this.guard.state()).ok) return 0;
    const due = await this.claim(this.clock.now());
    await Promise.all(due.map(async (delivery) => this.deliver(delivery)));
    return due.length;
  }

  /** Newest first. */
  async list(page: { beforeId?: string | undefined; limit: number }): Promise<WebhookRow[]> {
    return this.dataSource.query(
      `select id, enrollment_id as "enrollmentId", step_key as "stepKey", url, state, attempt, due_at as "dueAt",
         status_code as "statusCode", reason, created_at as "createdAt", settled_at as "settledAt"
       from webhook_delivery where $1::bigint is null or id < $1 order by id desc limit $2`,
      [page.beforeId ?? null, page.limit],
    );
  }

  /** Two workers take disjoint ones. Served by `webhook_delivery_due`. */
  private async claim(now: Date): Promise<Delivery[]> {
    const leaseUntil = new Date(now.getTime() + LEASE_MINUTES * MINUTE_MS);
    return this.dataSource.query(
      `with due as (
         select id from webhook_delivery where state = 'waiting' and due_at <= $1 order by due_at limit ${AT_ONCE}
         for update skip locked),
       taken as (
         update webhook_delivery w set attempt = attempt + 1, due_at = $2 from due where w.id = due.id returning w.*)
       select t.id, t.url, t.attempt, t.step_key as "stepKey", t.enrollment_id as "enrollmentId", t.created_at as "createdAt",
         q.key as "sequenceKey",
         case when s.id is not null then jsonb_build_object('id', s.id::text, 'email', s.email, 'name', s.name,
           'timeZone', s.time_zone, 'fields', s.fields, 'tags', array(select g.name from subscriber_tag st join tag g on g.id = st.tag_id
             where st.subscriber_id = s.id order by g.name)) end as subscriber
       from taken t left join enrollment e on e.id = t.enrollment_id left join sequence q on q.id = e.sequence_id
       left join subscriber s on s.id = e.subscriber_id`,
      [now, leaseUntil],
    );
  }

  private async deliver(delivery: Delivery): Promise<void> {
    const { id, url, stepKey, enrollmentId, createdAt, sequenceKey, subscriber } = delivery;
    if (subscriber === null)
      return this.settle(delivery, { kind: 'refused', reason: 'the person was erased' });
    const body = JSON.stringify({
      type: 'sequence.step',
      at: createdAt.toISOString(),
      sequence: sequenceKey,
      step: stepKey,
      enrollmentId,
      subscriber,
    });
    const at = this.clock.now();
    const headers = webhookHeaders(this.config.secretKey, { id: `step_${id}`, at, body });
    return this.settle(delivery, await this.#fetch.post(url, { headers, body }));
  }

  private async settle(delivery: Delivery, outcome: FetchOutcome): Promise<void> {
    const { id, attempt, sequenceKey, stepKey } = delivery;
    const now = this.clock.now();
    const status = outcome.kind === 'answered' ? outcome.status : null;
    const isDelivered = status !== null && status >= 200 && status < 300;
    // Gone for good by its own word (410), or an address that is never asked: trying again would change nothing.
    const minutes = outcome.kind === 'refused' || status === 410 ? null : webhookRetryMinutes(attempt);
    const state = isDelivered ? 'delivered' : minutes === null ? 'failed' : 'waiting';
    const reason = outcome.kind === 'answered' ? (isDelivered ? null : `answered ${status}`) : outcome.reason;
    await this.dataSource.query(
      `update webhook_delivery set state = $2, status_code = $3, reason = $4, due_at = $5,
         settled_at = case when $2 = 'waiting' then null else $6::timestamptz end where id = $1 and state = 'waiting'`,
      [id, state, status, reason, new Date(now.getTime() + (minutes ?? 0) * MINUTE_MS), now],
    );
    const key = `webhook:${sequenceKey ?? ''}:${stepKey}`;
    if (isDelivered) await this.alerts.resolve(key);
    if (state !== 'failed' || delivery.subscriber === null) return;
    await this.alerts.raise({
      key,
      severity: 'warning',
      message: `The webhook of step "${stepKey}" of "${sequenceKey ?? ''}" was given up: ${reason ?? ''}`,
    });
  }
}
