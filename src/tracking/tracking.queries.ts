import type { EntityManager } from 'typeorm';

export interface TrackedMessage {
  acceptedAt: Date | null;
  /** False once the reader has said no, whatever the links in older mails still ask for. */
  mayTrack: boolean;
}

/** Called for every click and open. Two reads by primary key; nothing is locked. */
export async function trackedMessage(db: EntityManager, messageId: string): Promise<TrackedMessage | null> {
  const rows: TrackedMessage[] = await db.query(
    `select m.accepted_at as "acceptedAt", coalesce(s.tracking_consent, false) as "mayTrack"
       from message m left join subscriber s on s.id = m.subscriber_id where m.id = $1`,
    [messageId],
  );
  return rows[0] ?? null;
}

/** The stored address of a link that is the same for everybody. */
export async function linkUrl(db: EntityManager, linkId: string): Promise<string | null> {
  const rows: { url: string }[] = await db.query('select url_template as url from link where id = $1', [
    linkId,
  ]);
  return rows[0]?.url ?? null;
}

export interface TrackingEvent {
  kind: 'open' | 'click';
  messageId: string;
  linkId: string | null;
  class: string;
  reason: string;
  ruleVersion: number;
  userAgent: string | null;
  ipHash: Buffer;
  at: Date;
}

/** A link that has been removed since counts as a click on the mail. */
export async function insertTrackingEvent(db: EntityManager, event: TrackingEvent): Promise<void> {
  await db.query(
    `insert into tracking_event (kind, message_id, link_id, class, reason, rule_version, user_agent, ip_hash, at)
     values ($1, $2, (select id from link where id = $3), $4, $5, $6, $7, $8, $9)`,
    [
      event.kind,
      event.messageId,
      event.linkId,
      event.class,
      event.reason,
      event.ruleVersion,
      event.userAgent,
      event.ipHash,
      event.at,
    ],
  );
}

export interface ConversionRow {
  id: string;
  kind: 'signup' | 'confirmation' | 'order';
  funnelKey: string;
  subscriberId: string | null;
  messageId: string | null;
  orderId: string | null;
  amountMinor: number | null;
  currency: string | null;
  at: Date;
}

/** Newest first, below `beforeId`; `funnelKey` is served by conversion_funnel. */
export async function listConversions(
  db: EntityManager,
  page: {
    beforeId: string | undefined;
    limit: number;
    kind?: string | undefined;
    funnelKey?: string | undefined;
  },
): Promise<ConversionRow[]> {
  return db.query(
    `select id, kind, funnel_key as "funnelKey", subscriber_id as "subscriberId", message_id as "messageId",
            order_id as "orderId", amount_minor::float8 as "amountMinor", currency, at
       from conversion
      where ($1::bigint is null or id < $1) and ($3::text is null or kind = $3) and ($4::text is null or funnel_key = $4)
      order by id desc limit $2`,
    [page.beforeId ?? null, page.limit, page.kind ?? null, page.funnelKey ?? null],
  );
}
