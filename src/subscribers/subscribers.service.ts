import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { notInThePast } from '../values/past-instant.js';
import { type EmailAddressParse, parseEmailAddress } from '../values/email-address.js';
import { formerAddresses } from './address-changes.queries.js';
import { fieldsDiffer, listenedOf, noteArrival, waitsByClock } from './field-signals.queries.js';
import type {
  ConsentEvidence,
  ConsentWords,
  Subscriber,
  SubscriberFields,
  UnsubscribeSource,
} from './subscriber.js';
import {
  agreedSinceLeaving,
  findSubscriber,
  findSubscriberByEmailKey,
  leftSince,
  listSubscribers,
  listTags,
  lockSubscriber,
  removeSubscriber,
  type LockedSubscriber,
} from './subscribers.queries.js';
import { leavesPause } from './pause.queries.js';
import { nextStatus, type SubscriberStatus } from './subscription-status.js';
import { SuppressionsService } from './suppressions.service.js';

type EmailAddress = Extract<EmailAddressParse, { ok: true }>;

interface SubscriberDetails {
  email: EmailAddress;
  name?: string | undefined;
  timeZone?: string | undefined;
  locale?: string | undefined;
  fields?: SubscriberFields | undefined;
}

const MAX_USER_AGENT_CHARS = 500;

/** Who we may write to. The only writer of `subscriber` and `consent_event`; tags as such are changed by `TagsService`. */
@Injectable()
export class SubscribersService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly suppressions: SuppressionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * The subscriber with this address, made as `pending` when there is none. Somebody we know keeps what we know: whoever
   * types a stranger's address into a form must not rename them, so only gaps are filled, and the status never changes.
   * Sequences hear of the gaps. Holds the row's lock until the caller's transaction ends.
   */
  async upsert(
    manager: EntityManager,
    { email, name, timeZone, locale, fields }: SubscriberDetails,
  ): Promise<{ id: string; status: SubscriberStatus; created: boolean }> {
    const rows: { id: string; status: SubscriberStatus; created: boolean }[] = await manager.query(
      `with old as materialized (select id, fields, time_zone from subscriber where email_key = $2),
       saved as (
         insert into subscriber (email, email_key, name, status, time_zone, locale, fields, created_at, updated_at)
         values ($1, $2, $3, 'pending', $4, $5, jsonb_strip_nulls($6::jsonb), $7, $7)
         on conflict (email_key) do update set
           name = coalesce(subscriber.name, excluded.name), time_zone = coalesce(subscriber.time_zone, excluded.time_zone),
           locale = coalesce(subscriber.locale, excluded.locale), fields = excluded.fields || subscriber.fields
         returning id, status, xmax = 0 as created, fields, time_zone),
       told as (
         insert into field_signal (subscriber_id, before, zone_before, created_at)
         select old.id, ${listenedOf('old.fields')},
           case when old.time_zone is distinct from saved.time_zone then coalesce(old.time_zone, '') end, $7
         from saved join old using (id) where ${fieldsDiffer('old.fields', 'saved.fields')}
           or (old.time_zone is distinct from saved.time_zone and ${waitsByClock('old.id')}))
       select id, status, created from saved`,
      [
        email.address,
        email.key,
        name ?? null,
        timeZone ?? null,
        locale ?? null,
        JSON.stringify(fields ?? {}),
        this.clock.now(),
      ],
    );
    const row = rows[0];
    if (!row) throw new Error('subscriber gave no row');
    return row;
  }

  /**
   * Adds evidence. An address that is no IP address is left out rather than losing the consent. Throws
   * `CONSENT_TIME_INVALID`: what is said to have been agreed tomorrow proves nothing.
   */
  async recordConsent(manager: EntityManager, evidence: ConsentEvidence): Promise<void> {
    const { consentText, ip, at = this.clock.now() } = evidence;
    const wrong = notInThePast(at, this.clock.now());
    if (wrong !== null)
      throw new DomainError('CONSENT_TIME_INVALID', `consent.at: ${wrong}`, { field: 'consent.at' });
    // Locked against an erasure meanwhile: no foreign key holds the evidence to the person.
    const rows: unknown[] = await manager.query(
      `insert into consent_event (subscriber_id, kind, purpose, consent_text, text_hash, form_slug, page_url, ip, user_agent, at)
       select s.id, $2, $3, $4, $5, $6, $7, $8, $9, $10 from subscriber s where s.id = $1 for key share returning id`,
      [
        evidence.subscriberId,
        evidence.kind,
        evidence.purpose,
        consentText ?? null,
        consentText === undefined ? null : createHash('sha256').update(consentText).digest(),
        evidence.formSlug ?? null,
        evidence.pageUrl ?? null,
        ip !== undefined && isIP(ip) > 0 ? withoutZone(ip) : null,
        evidence.userAgent?.slice(0, MAX_USER_AGENT_CHARS) ?? null,
        at,
      ],
    );
    if (rows.length === 0) throw notFound('subscriber', evidence.subscriberId);
  }

  /**
   * The owner of the address has said yes just now; the caller has recorded the consent. Lifts the suppression that
   * unsubscribing made, or mails that did not arrive, and no other. `refused` for an address that is dead or complained,
   * and `left` for somebody who has left and not agreed anew since: nothing changes. `fields` are what they have answered, `gapsOnly` leaves alone what is
   * known. Whoever comes or comes back wants mails from now on, whatever pause they or an old table had set before, or sets once more.
   * Throws `SUBSCRIBER_NOT_FOUND`.
   */
  async activate(
    manager: EntityManager,
    subscriberId: string,
    { fields = {}, gapsOnly = false }: { fields?: SubscriberFields; gapsOnly?: boolean } = {},
  ): Promise<'activated' | 'already_active' | 'refused' | 'left'> {
    const subscriber = await this.lock(manager, subscriberId);
    const comesBack =
      subscriber.status === 'bounced' && (await this.suppressions.mayComeBack(subscriber.emailKey, manager));
    const status = comesBack ? 'active' : nextStatus(subscriber.status, 'confirm');
    if (status === null) return 'refused';
    const mayHaveLeft = comesBack || subscriber.status === 'unsubscribed';
    if (mayHaveLeft && !(await agreedSinceLeaving(manager, subscriberId))) return 'left';
    await this.suppressions.liftConfirmed(manager, subscriber.emailKey);
    const filled = gapsOnly ? { ...fields, ...subscriber.fields } : fields;
    // Whoever arrives is told of as a whole.
    if (Object.keys(fields).length > 0)
      await this.fill(manager, subscriberId, filled, { tell: status === subscriber.status });
    if (status === subscriber.status) return 'already_active';
    await manager.query(
      `update subscriber s set status = $2, confirmed_at = $3, updated_at = $3, paused_until = null,
         pauses_left = ${leavesPause('$3')} where id = $1`,
      [subscriberId, status, this.clock.now()],
    );
    await noteArrival(manager, subscriberId, this.clock.now());
    return 'activated';
  }

  private async fill(
    manager: EntityManager,
    subscriberId: string,
    fields: SubscriberFields,
    { tell }: { tell: boolean },
  ): Promise<void> {
    await manager.query(
      `with old as materialized (select id, fields from subscriber where id = $1),
       saved as (
         update subscriber set fields = fields || $2::jsonb, updated_at = $3 where id = $1 returning id, fields)
       insert into field_signal (subscriber_id, before, created_at)
       select old.id, ${listenedOf('old.fields')}, $3
       from saved join old using (id) where $4 and ${fieldsDiffer('old.fields', 'saved.fields')}`,
      [subscriberId, JSON.stringify(fields), this.clock.now(), tell],
    );
  }

  /**
   * Takes effect at once: the send barrier reads status and suppression. Idempotent; true when something changed.
   * An address that bounced or complained keeps that status and is suppressed all the same. `leftAt`: when they said so, if not now;
   * what they have pressed before it counts no more. Throws `SUBSCRIBER_NOT_FOUND`.
   */
  async unsubscribe(
    manager: EntityManager,
    subscriberId: string,
    source: UnsubscribeSource,
    leftAt?: Date,
  ): Promise<boolean> {
    const subscriber = await this.lock(manager, subscriberId);
    const entry = { scope: 'marketing', reason: 'unsubscribed', source } as const;
    await this.suppressions.add(manager, { emailKey: subscriber.emailKey, ...entry });
    const now = this.clock.now();
    // Other clocks may be ahead, and evidence of tomorrow is refused.
    const at = leftAt !== undefined && leftAt < now ? leftAt : now;
    const withdrawn = { subscriberId, kind: 'withdrawn', purpose: 'marketing', at } as const;
    const status = nextStatus(subscriber.status, 'unsubscribe');
    // Who had left before leaves once more: what they pressed in between does not bring them back.
    const isLate = leftAt !== undefined && status === subscriber.status;
    const isNews = isLate && !(await leftSince(manager, subscriberId, new Date(at.getTime() - 1)));
    // An address that bounced may come back, and so may who had left: not by what was pressed before its owner left once more.
    const mayComeBack =
      subscriber.status === 'bounced' || (leftAt === undefined && status === subscriber.status);
    if (isNews || (mayComeBack && (await agreedSinceLeaving(manager, subscriberId))))
      await this.recordConsent(manager, withdrawn);
    if (status === null || status === subscriber.status) return false;
    const row = [subscriberId, status, now];
    await manager.query('update subscriber set status = $2, updated_at = $3 where id = $1', row);
    await this.recordConsent(manager, withdrawn);
    return true;
  }

  /**
   * Whether opens and clicks of this person are recorded at all: a decision of its own beside that on mails, kept with the
   * words it was made by. False when it was so before. Throws `SUBSCRIBER_NOT_FOUND`.
   */
  async setTrackingConsent(
    manager: EntityManager,
    subscriberId: string,
    { allowed, ...evidence }: { allowed: boolean } & ConsentWords,
  ): Promise<boolean> {
    await this.lock(manager, subscriberId);
    const [changed]: [unknown[], number] = await manager.query(
      `update subscriber set tracking_consent = $2, updated_at = $3 where id = $1 and tracking_consent <> $2 returning id`,
      [subscriberId, allowed, this.clock.now()],
    );
    if (changed.length === 0) return false;
    await this.recordConsent(manager, {
      ...evidence,
      subscriberId,
      kind: allowed ? 'granted' : 'withdrawn',
      purpose: 'tracking',
    });
    return true;
  }

  /**
   * Forgets the person: the row goes, and with it consent, tags, sign-ups and enrollments. What stays is the address's
   * hash, and that of each they had before, so that no import or form can write to them again. Idempotent.
   */
  async erase(manager: EntityManager, subscriberId: string, source: string): Promise<void> {
    const subscriber = await lockSubscriber(manager, subscriberId);
    if (!subscriber) return;
    const former = (await formerAddresses(manager, subscriberId)).map(({ emailKey }) => emailKey);
    for (const emailKey of [subscriber.emailKey, ...former])
      await this.suppressions.add(manager, { emailKey, scope: 'all', reason: 'erased', source });
    await removeSubscriber(manager, subscriberId);
  }

  /**
   * The person's own word; null ends the pause. Returns until when one was set before. Throws `SUBSCRIBER_NOT_FOUND`.
   */
  async setPause(manager: EntityManager, subscriberId: string, until: Date | null): Promise<Date | null> {
    await this.lock(manager, subscriberId);
    const [rows]: [{ before: Date | null }[], number] = await manager.query(
      `update subscriber s set paused_until = $2, updated_at = $3, pauses_left = ${leavesPause('$3')}
       from subscriber old where s.id = $1 and old.id = s.id returning old.paused_until as before`,
      [subscriberId, until, this.clock.now()],
    );
    return rows[0]?.before ?? null;
  }

  /** Ends the pauses whose time has come; returns how many. Served by `subscriber_paused`. */
  async endPauses(manager: EntityManager, now: Date): Promise<number> {
    const [, count]: [unknown[], number] = await manager.query(
      'update subscriber set paused_until = null where paused_until <= $1',
      [now],
    );
    return count;
  }

  /** Null empties a field; what is left out stays. Returns fields and time zone as they were. Throws `SUBSCRIBER_NOT_FOUND`. */
  async update(
    manager: EntityManager,
    subscriberId: string,
    change: {
      name?: string | null | undefined;
      timeZone?: string | null | undefined;
      locale?: string | null | undefined;
      fields?: SubscriberFields | undefined;
    },
  ): Promise<Pick<LockedSubscriber, 'fields' | 'timeZone'>> {
    const before = await this.lock(manager, subscriberId);
    const { name, timeZone, locale, fields } = change;
    await manager.query(
      `update subscriber set name = case when $2 then $3 else name end, time_zone = case when $4 then $5 else time_zone end,
         locale = case when $8 then $9 else locale end, fields = jsonb_strip_nulls(fields || $6::jsonb), updated_at = $7
       where id = $1`,
      [
        subscriberId,
        name !== undefined,
        name ?? null,
        timeZone !== undefined,
        timeZone ?? null,
        JSON.stringify(fields ?? {}),
        this.clock.now(),
        locale !== undefined,
        locale ?? null,
      ],
    );
    return before;
  }

  /** Locks the person's row until the caller's transaction ends; null when there is nobody. */
  async lockStatus(manager: EntityManager, id: string): Promise<SubscriberStatus | null> {
    return (await lockSubscriber(manager, id))?.status ?? null;
  }

  /**
   * Holds the person's row against every other payment, refund and erasure until the caller's transaction ends, but not
   * against rows that only point to it, so that a job which adds those waits for nobody. False when there is nobody.
   */
  async hold(manager: EntityManager, id: string): Promise<boolean> {
    const rows: unknown[] = await manager.query('select 1 from subscriber where id = $1 for no key update', [
      id,
    ]);
    return rows.length > 0;
  }

  /** As `hold`, and against rows that point to it, too: for the erasure, which then misses none. */
  async holdAlone(manager: EntityManager, id: string): Promise<void> {
    await manager.query('select 1 from subscriber where id = $1 for update', [id]);
  }

  /** Idempotent; the tag is made when it is new. */
  async tag(manager: EntityManager, subscriberId: string, name: string): Promise<void> {
    // The empty update makes the row visible to the second insert when the tag was there already.
    await manager.query(
      `with named as (
         insert into tag (name, created_at) values ($2, $3) on conflict (name) do update set name = excluded.name returning id)
       insert into subscriber_tag (subscriber_id, tag_id, created_at)
       select s.id, named.id, $3 from named, subscriber s where s.id = $1 for key share of s on conflict do nothing`,
      [subscriberId, name, this.clock.now()],
    );
  }

  async untag(manager: EntityManager, subscriberId: string, name: string): Promise<boolean> {
    const [, count]: [unknown[], number] = await manager.query(
      `delete from subscriber_tag st using tag t where t.id = st.tag_id and st.subscriber_id = $1 and t.name = $2`,
      [subscriberId, name],
    );
    return count > 0;
  }

  async find(id: string, manager: EntityManager = this.dataSource.manager): Promise<Subscriber | null> {
    return findSubscriber(manager, id);
  }

  /** Throws `SUBSCRIBER_NOT_FOUND`. */
  async get(id: string): Promise<Subscriber> {
    const subscriber = await this.find(id);
    if (subscriber) return subscriber;
    throw notFound('subscriber', id);
  }

  /** By the address or the id, as a person names one. Throws `SUBSCRIBER_NOT_FOUND`. */
  async named(text: string): Promise<Subscriber> {
    const address = parseEmailAddress(text);
    const isId = /^\d{1,18}$/.test(text);
    const found = address.ok ? await this.findByEmailKey(address.key) : isId ? await this.find(text) : null;
    if (found) return found;
    throw notFound('subscriber', text, address.ok ? 'address' : 'id');
  }

  async findByEmailKey(
    key: string,
    manager: EntityManager = this.dataSource.manager,
  ): Promise<Subscriber | null> {
    return findSubscriberByEmailKey(manager, key);
  }

  /** Newest first; `cursor` is the id of the last one the caller has seen. */
  async page(cursor: string | undefined, limit: number): Promise<Subscriber[]> {
    return listSubscribers(this.dataSource.manager, { beforeId: cursor, limit });
  }

  async tags(cursor: string | undefined, limit: number): Promise<Awaited<ReturnType<typeof listTags>>> {
    return listTags(this.dataSource.manager, { beforeId: cursor, limit });
  }

  private async lock(manager: EntityManager, id: string): Promise<LockedSubscriber> {
    const subscriber = await lockSubscriber(manager, id);
    if (subscriber) return subscriber;
    throw notFound('subscriber', id);
  }
}

/** Node names the network card in a link-local address (`fe80::1%eth0`); PostgreSQL's `inet` has no place for it. */
function withoutZone(ip: string): string {
  return ip.replace(/%.*/s, '');
}
