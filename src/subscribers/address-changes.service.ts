import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { notFound } from '../values/not-found.js';
import type { EmailAddressParse } from '../values/email-address.js';
import { statusBeforeBounce, type FormerAddress } from './address-changes.queries.js';
import type { ConsentWords, Suppression } from './subscriber.js';
import type { SubscriberStatus } from './subscription-status.js';
import { SubscribersService } from './subscribers.service.js';
import { SuppressionsService } from './suppressions.service.js';

export type EmailAddress = Extract<EmailAddressParse, { ok: true }>;

/** `owner`, `api`: the sender says so. `page`: the person pressed the button of a mail to the new address. `back`: that was not them. */
export type ChangeSource = 'owner' | 'api' | 'page' | 'back';

/** Why somebody may not have an address. */
export type Obstacle = 'taken' | 'suppressed';

export interface AddressChange {
  id: string;
  subscriberId: string;
  email: string;
  emailKey: string;
  source: ChangeSource;
  /** Null while it is only asked for. */
  changedAt: Date | null;
  emailBefore: string | null;
  keyBefore: string | null;
}

const CHANGE = `select id, subscriber_id as "subscriberId", email, email_key as "emailKey", source, changed_at as "changedAt",
    email_before as "emailBefore", key_before as "keyBefore"
  from address_change`;

/** Which address somebody has. The only writer of `address_change`. */
@Injectable()
export class AddressChanges {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly suppressions: SuppressionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  hash(emailKey: string): Buffer {
    return this.suppressions.hash(emailKey);
  }

  /**
   * `taken`: somebody else has it. `suppressed`: no mails go there, whoever caused that. One whose mails only did not arrive is none
   * that stands in the way of who has just pressed a button in a mail to it (`isProven`).
   */
  async obstacle(
    manager: EntityManager,
    subscriberId: string,
    { key }: Pick<EmailAddress, 'key'>,
    { isProven = false }: { isProven?: boolean } = {},
  ): Promise<Obstacle | null> {
    const holder = await this.subscribers.findByEmailKey(key, manager);
    // Their own, written in another way.
    if (holder?.id === subscriberId) return null;
    if (holder !== null) return 'taken';
    const entries = await this.suppressions.of(key, manager);
    const counts = ({ reason, scope }: Suppression): boolean =>
      !isProven || scope === 'all' || reason !== 'soft_bounce';
    return entries.some(counts) ? 'suppressed' : null;
  }

  /**
   * From the commit of the caller's transaction on. Who has left, complained or is blocked by the owner is that under the new
   * address as well; that mails to the old one came back ends with it. Series that ended by it are not begun anew. The caller
   * holds the person, has asked `obstacle`, and sees to their mails. `askedId`: the row of an address that was asked for.
   * Throws `SUBSCRIBER_NOT_FOUND`.
   */
  async change(
    manager: EntityManager,
    subscriberId: string,
    email: EmailAddress,
    { source, askedId, ...evidence }: ConsentWords & { source: ChangeSource; askedId?: string },
  ): Promise<FormerAddress> {
    const person = await this.subscribers.find(subscriberId, manager);
    if (person === null) throw notFound('subscriber', subscriberId);
    const before = { email: person.email, emailKey: person.emailKey };
    const status = person.status === 'bounced' ? await this.statusAt(manager, person) : person.status;
    const now = this.clock.now();
    if (before.emailKey !== email.key) {
      // Where only a mail that arrived could tell of it, an entry for mails that did not is over.
      if (source === 'page' || source === 'back') await this.suppressions.liftSoft(manager, email.key);
      await this.suppressions.carry(manager, { from: before.emailKey, to: email.key });
    }
    await manager.query(
      'update subscriber set email = $2, email_key = $3, status = $4, updated_at = $5 where id = $1',
      [subscriberId, email.address, email.key, status, now],
    );
    const row = [subscriberId, email.address, email.key, before.email, before.emailKey, source, now];
    if (askedId === undefined)
      await manager.query(
        `insert into address_change (subscriber_id, email, email_key, email_before, key_before, source, asked_at, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7)`,
        row,
      );
    else
      await manager.query(
        `update address_change set email_before = $4, key_before = $5, source = $6, changed_at = $7
         where subscriber_id = $1 and email = $2 and email_key = $3 and id = $8`,
        [...row, askedId],
      );
    // An older mail that asks is about another address than they have now.
    await manager.query('delete from address_change where subscriber_id = $1 and changed_at is null', [
      subscriberId,
    ]);
    await this.subscribers.recordConsent(manager, {
      ...evidence,
      subscriberId,
      kind: source === 'page' ? 'confirmed' : 'granted',
      purpose: 'address',
    });
    return before;
  }

  /** Writes down what is asked for, in place of what was asked for before; nothing changes by it. Returns its id. */
  async ask(
    manager: EntityManager,
    subscriberId: string,
    email: EmailAddress,
    source: ChangeSource,
  ): Promise<string> {
    await manager.query('delete from address_change where subscriber_id = $1 and changed_at is null', [
      subscriberId,
    ]);
    const rows: { id: string }[] = await manager.query(
      `insert into address_change (subscriber_id, email, email_key, source, asked_at) values ($1, $2, $3, $4, $5) returning id`,
      [subscriberId, email.address, email.key, source, this.clock.now()],
    );
    return rows[0]?.id ?? '';
  }

  /** Null for one that another change or request took the place of, and of somebody who is erased. */
  async find(manager: EntityManager, id: string): Promise<AddressChange | null> {
    const rows: AddressChange[] = await manager.query(`${CHANGE} where id = $1`, [id]);
    return rows[0] ?? null;
  }

  /**
   * The last one that came into force, but for the sender's other spelling of the same address; null for who has the address they
   * came with. Served by address_change_subscriber.
   */
  async last(manager: EntityManager, subscriberId: string): Promise<AddressChange | null> {
    const rows: AddressChange[] = await manager.query(
      `${CHANGE} where subscriber_id = $1 and changed_at is not null and (source in ('page', 'back') or key_before <> email_key)
       order by id desc limit 1`,
      [subscriberId],
    );
    return rows[0] ?? null;
  }

  /** Nobody has pressed the button for so long that its link has ended: whose address it is nobody knows. Served by address_change_asked. */
  async forgetAsked(before: Date): Promise<void> {
    await this.dataSource.query('delete from address_change where changed_at is null and asked_at < $1', [
      before,
    ]);
  }

  private async statusAt(
    manager: EntityManager,
    { id, emailKey }: { id: string; emailKey: string },
  ): Promise<SubscriberStatus> {
    const reasons = (await this.suppressions.of(emailKey, manager)).map(({ reason }) => reason);
    if (reasons.includes('complaint')) return 'complained';
    return reasons.includes('unsubscribed') ? 'unsubscribed' : statusBeforeBounce(manager, id);
  }
}

/** The words of the change, as they are kept with it. */
export function addressWords(to: string, from: string): string {
  return `Send my mails to ${to}, no longer to ${from}`;
}
