import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MessagesService } from '../delivery/messages.service.js';
import { CONFIG, type Config } from '../infra/config.js';
import { EnrollmentsService } from '../sequences/enrollments.service.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import type { LeavePurpose } from '../subscribers/leave-token.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { decodeIds, encodeIds, signToken, verifyToken } from '../values/signed-token.js';

/** What a person decides about themselves by the links in their mails. The tokens need no row but the person's. */
@Injectable()
export class PreferencesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly enrollments: EnrollmentsService,
    private readonly messages: MessagesService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** `null`: not a link of ours. `gone`: a genuine link of somebody whose data were erased. */
  async person(purpose: LeavePurpose, token: string): Promise<Subscriber | 'gone' | null> {
    const ids = this.ids(purpose, token);
    return ids === null ? null : ((await this.subscribers.find(ids[0] ?? '0')) ?? 'gone');
  }

  /** The same person's link for another purpose, for pages that lead from one to the other. */
  link(from: LeavePurpose, token: string, to: LeavePurpose): string {
    const ids = this.ids(from, token) ?? ['0', '0'];
    return `/${to === 'unsubscribe' ? 'u' : to}/${signToken(this.config.secretKey, to, encodeIds(ids))}`;
  }

  async setTrackingConsent(subscriberId: string, granted: boolean): Promise<void> {
    await this.dataSource.transaction(async (manager) =>
      this.subscribers.setTrackingConsent(manager, subscriberId, { allowed: granted }),
    );
  }

  async erase(subscriberId: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await this.enrollments.exitOnUnsubscribe(manager, subscriberId);
      await this.messages.forget(manager, subscriberId);
      await this.subscribers.erase(manager, subscriberId, 'preferences page');
    });
  }

  /** Everything kept about one person, as they may ask for it (GDPR, article 15). */
  async personalData(subscriberId: string): Promise<Record<string, unknown>> {
    const consents: unknown[] = await this.dataSource.query(
      `select kind, purpose, consent_text as "consentText", form_slug as form, page_url as "pageUrl", host(ip) as ip,
         user_agent as "userAgent", at from consent_event where subscriber_id = $1 order by id`,
      [subscriberId],
    );
    const messages: unknown[] = await this.dataSource.query(
      `select kind, step_key as step, state, due_at as "dueAt", accepted_at as "acceptedAt" from message
       where subscriber_id = $1 order by id`,
      [subscriberId],
    );
    const signups: unknown[] = await this.dataSource.query(
      `select f.slug as form, g.status, g.created_at as "createdAt", g.confirmed_at as "confirmedAt"
       from signup g join form f on f.id = g.form_id where g.subscriber_id = $1 order by g.id`,
      [subscriberId],
    );
    const opensAndClicks: unknown[] = await this.dataSource.query(
      `select e.kind, e.class, e.user_agent as "userAgent", e.at, l.url_template as link
       from tracking_event e join message m on m.id = e.message_id left join link l on l.id = e.link_id
       where m.subscriber_id = $1 order by e.id`,
      [subscriberId],
    );
    const orders: unknown[] = await this.dataSource.query(
      `select number, status, email, name, amount_minor::float8 as "amountMinor", currency, created_at as "createdAt"
       from orders where subscriber_id = $1 order by id`,
      [subscriberId],
    );
    const subscriber = await this.subscribers.find(subscriberId);
    return { subscriber, consents, signups, messages, opensAndClicks, orders };
  }

  private ids(purpose: LeavePurpose, token: string): string[] | null {
    const payload = verifyToken(this.config.secretKey, purpose, token);
    return payload === null ? null : decodeIds(payload, 2);
  }
}
