import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { Wake } from '../infra/jobs/wake.js';
import { signIds } from '../values/signed-token.js';
import { MAX_COMMENT_CHARS, type LeaveReason } from './leave-reason.js';
import { readLeaveToken, type LeavePurpose, type LeaveTicket } from './leave-token.js';
import type { UnsubscribeSource } from './subscriber.js';
import { confirmedSince } from './subscribers.queries.js';
import { SubscribersService } from './subscribers.service.js';
import { SuppressionsService } from './suppressions.service.js';

/** Job that ends the sequences of those who have left; a mail to the unsubscribe address comes in before sequences do. */
export const EXIT_LEFT = 'sequences.exit-left';

/** Whoever holds a row for longer keeps one leaving, which is tried again, and not all mail that waits for it. */
const LATE_LOCK = '500ms';

export type Leaving =
  | { kind: 'not_ours' }
  /** The database does not take it, as while it is away: it stands on disk, and comes into force when the database does. */
  | { kind: 'kept' }
  /** A restored backup knows neither the mail nor its reader, so nobody could be taken off. */
  | { kind: 'lost' }
  /** Nobody is left under this link when `subscriberId` is null; the address is suppressed all the same. */
  | { kind: 'left'; subscriberId: string | null };

interface LeaveHolder {
  /** The mail the link stands in. */
  messageId: string;
  subscriberId: string | null;
  /** Whose mail the link stood in; null when that mail is gone. */
  senderName: string | null;
}

/** As a ticket says it, or a mail of which the reader was erased. */
type MailHolder = Pick<LeaveTicket, 'messageId'> & { subscriberId: string | null };

interface Holder extends Omit<LeaveHolder, 'messageId'> {
  /** Of the address that the mail went to. */
  addressHash: Buffer | null;
  /** When the mail went. */
  acceptedAt: Date | null;
}

/**
 * Leaving by the link of a mail, whichever way it came: one-click POST, the page's button, a mail to the unsubscribe
 * address. Stands before delivery and sequences, so that every module after them may call it: the barrier and the
 * sequences read what it writes. Owns `leave_reason` and `left_by_mail`.
 */
@Injectable()
export class LeaveService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly suppressions: SuppressionsService,
    private readonly wake: Wake,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Idempotent, and in force when the caller's transaction commits. The signature alone makes the link good: it also
   * works after the person was merged into another or erased, by the address the mail went to. Needs nobody's word on
   * who sent it, so a mail's forgeable From is of no account (RFC 2369 §3.2).
   */
  async leaveByToken(token: string, via: UnsubscribeSource, manager?: EntityManager): Promise<Leaving> {
    const ticket = readLeaveToken(this.config.secretKey, 'unsubscribe', token);
    if (ticket === null) return { kind: 'not_ours' };
    if (manager) return this.leave(manager, ticket, via);
    return this.dataSource.transaction(async (own) => this.leave(own, ticket, via));
  }

  /** As by the link at the time `at`, of a mail that may be read once more later on: whoever has said yes since then stays. */
  async leaveByTokenOf(at: Date, token: string, via: UnsubscribeSource): Promise<Leaving> {
    const ticket = readLeaveToken(this.config.secretKey, 'unsubscribe', token);
    if (ticket === null) return { kind: 'not_ours' };
    return this.dataSource.transaction(async (own) => this.leaveUnlessBack(own, ticket, { via, at }));
  }

  /**
   * As by the link when it came, of one that waits in `waiting_leaving` and is then there no more: whoever has said yes once more since
   * then stays. Nothing while somebody else is about it. Rejects rather than wait.
   */
  async leaveWaiting(ticket: LeaveTicket): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query(`set local lock_timeout = '${LATE_LOCK}'`);
      const [[waiting]]: [{ via: UnsubscribeSource; at: Date }[], number] = await manager.query(
        `delete from waiting_leaving where (message_id, subscriber_id) in (select message_id, subscriber_id from waiting_leaving
           where message_id = $1 and subscriber_id = $2 for update skip locked) returning via, at`,
        [ticket.messageId, ticket.subscriberId],
      );
      if (waiting === undefined) return;
      await this.leaveUnlessBack(manager, ticket, waiting);
    });
  }

  /** Those of the links by which somebody can be taken off now. Two look-ups by primary key for each. */
  async known(tokens: readonly string[]): Promise<Set<string>> {
    const ours = tokens.flatMap((token) => {
      const ticket = this.read(token);
      return ticket === null ? [] : [{ token, ...ticket }];
    });
    const rows: { token: string }[] = await this.dataSource.query(
      `select token from unnest($1::text[], $2::bigint[], $3::bigint[]) as t (token, subscriber_id, message_id)
       where (select true from message m where m.id = t.message_id) or (select true from subscriber s where s.id = t.subscriber_id)`,
      (['token', 'subscriberId', 'messageId'] as const).map((column) => ours.map((one) => one[column])),
    );
    return new Set(rows.map(({ token }) => token));
  }

  /** What a link says; null for one that we did not write. Asks nobody. */
  read(token: string): LeaveTicket | null {
    return readLeaveToken(this.config.secretKey, 'unsubscribe', token);
  }

  /** The link to unsubscribe of the mail that a link to preferences stands in; null for one that we did not write. Asks nobody. */
  tokenBeside(preferencesToken: string): string | null {
    const { secretKey } = this.config;
    const ticket = readLeaveToken(secretKey, 'preferences', preferencesToken);
    return ticket && signIds(secretKey, 'unsubscribe', [ticket.subscriberId, ticket.messageId]);
  }

  /** As by the link of that mail, for whoever holds it now: the caller knows who says so. In the caller's transaction. */
  async leaveByMail(
    manager: EntityManager,
    { id, subscriberId }: { id: string; subscriberId: string | null },
    via: UnsubscribeSource,
  ): Promise<void> {
    await this.leave(manager, { subscriberId, messageId: id }, via);
  }

  /** Who holds the link; null for a link we did not write. The same answer shape whether or not the person is there. */
  async holder(purpose: LeavePurpose, token: string): Promise<LeaveHolder | null> {
    const ticket = readLeaveToken(this.config.secretKey, purpose, token);
    if (ticket === null) return null;
    const { subscriberId, senderName } = await this.holderOf(this.dataSource.manager, ticket);
    return { messageId: ticket.messageId, subscriberId, senderName };
  }

  /** The last word counts. Kept only of somebody who has left; false for a link we did not write. */
  async giveReason(token: string, reason: LeaveReason, comment: string): Promise<boolean> {
    const ticket = readLeaveToken(this.config.secretKey, 'unsubscribe', token);
    if (ticket === null) return false;
    const { subscriberId } = await this.holderOf(this.dataSource.manager, ticket);
    const kept = comment.replaceAll('\0', '').trim().slice(0, MAX_COMMENT_CHARS).toWellFormed();
    await this.dataSource.query(
      `insert into leave_reason (subscriber_id, funnel_key, reason, comment, at)
       select s.id, (select m.funnel_key from message m where m.id = $2), $3, nullif($4, ''), $5
       from subscriber s where s.id = $1 and s.status = 'unsubscribed'
       on conflict (subscriber_id) do update set funnel_key = excluded.funnel_key, reason = excluded.reason,
         comment = excluded.comment, at = excluded.at`,
      [subscriberId, ticket.messageId, reason, kept, this.clock.now()],
    );
    return true;
  }

  private async leaveUnlessBack(
    manager: EntityManager,
    ticket: LeaveTicket,
    { via, at }: { via: UnsubscribeSource; at: Date },
  ): Promise<Leaving> {
    const { subscriberId, acceptedAt } = await this.holderOf(manager, ticket);
    // Before the look: who is confirming just now stays, too.
    if (subscriberId !== null) await this.subscribers.lockStatus(manager, subscriberId);
    // Nobody leaves by a mail before it has come, whatever the clock of a mailbox says.
    const leftAt = acceptedAt !== null && acceptedAt > at ? acceptedAt : at;
    const stays = subscriberId !== null && (await confirmedSince(manager, subscriberId, leftAt));
    return stays ? { kind: 'left', subscriberId } : this.leave(manager, ticket, via, leftAt);
  }

  private async leave(
    manager: EntityManager,
    ticket: MailHolder,
    via: UnsubscribeSource,
    at?: Date,
  ): Promise<Leaving> {
    const { subscriberId, addressHash } = await this.holderOf(manager, ticket);
    // Of a mail whose end is not known it proves that the mail arrived.
    await manager.query(
      `insert into left_by_mail (message_id, at) select id, $2 from message
       where id = $1 and (state in ('unknown', 'leased') or unknown_count > 0) on conflict do nothing`,
      [ticket.messageId, this.clock.now()],
    );
    // Those to nobody in particular, such as tests, have no number.
    if (subscriberId === null && addressHash === null && ticket.messageId !== '0') return { kind: 'lost' };
    const entry = { scope: 'marketing', reason: 'unsubscribed', source: via } as const;
    if (subscriberId !== null && (await this.subscribers.lockStatus(manager, subscriberId)) !== null) {
      await this.subscribers.unsubscribe(manager, subscriberId, via, at);
      await this.wake.notify(manager, EXIT_LEFT);
    }
    // The mail may have gone to an address that the person no longer has, or to somebody who is not there any more.
    if (addressHash !== null) await this.suppressions.addHash(manager, { ...entry, emailHash: addressHash });
    return { kind: 'left', subscriberId };
  }

  /** Two reads by primary key. The person of the link, else whoever holds that mail now. */
  private async holderOf(db: EntityManager, { subscriberId, messageId }: MailHolder): Promise<Holder> {
    const rows: Holder[] = await db.query(
      `select coalesce(s.id, m.subscriber_id) as "subscriberId", m.address_hash as "addressHash", m.accepted_at as "acceptedAt",
         m.sender->>'name' as "senderName"
       from (values ($1::bigint, $2::bigint)) as t (subscriber_id, message_id)
       left join subscriber s on s.id = t.subscriber_id left join message m on m.id = t.message_id`,
      [subscriberId, messageId],
    );
    return rows[0] ?? { subscriberId: null, addressHash: null, acceptedAt: null, senderName: null };
  }
}
