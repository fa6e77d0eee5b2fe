import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { addressHash } from './address-hash.js';
import type { Suppression } from './subscriber.js';

const SUPPRESSION = `select id, encode(email_hash, 'hex') as "emailHash", scope, reason, source, created_at as "createdAt"
  from suppression`;

/**
 * Than the owner's own block, which the owner may lift, and confirming anew may not; what follows from unsubscribing and from
 * mails that did not arrive is less. Of these two a person's word is the stronger.
 */
const IS_STRONGER = `(suppression.reason = 'manual' and excluded.reason not in ('unsubscribed', 'soft_bounce'))
  or (suppression.reason = 'soft_bounce' and excluded.reason <> 'soft_bounce')`;

/**
 * Addresses we do not write to, known by their hash alone, so that the list outlives the people on it. The only writer
 * of `suppression`; the send barrier of delivery reads it.
 */
@Injectable()
export class SuppressionsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  hash(emailKey: string): Buffer {
    return addressHash(this.config.secretKey, emailKey);
  }

  /** One row for each address and scope; the first reason stays. Returns the row's id. */
  async add(
    manager: EntityManager,
    { emailKey, ...entry }: Pick<Suppression, 'scope' | 'reason' | 'source'> & { emailKey: string },
  ): Promise<string> {
    return this.addHash(manager, { ...entry, emailHash: this.hash(emailKey) });
  }

  /** As `add`, for an address of which only the hash is left. */
  async addHash(
    manager: EntityManager,
    {
      emailHash,
      scope,
      reason,
      source,
    }: Pick<Suppression, 'scope' | 'reason' | 'source'> & { emailHash: Buffer },
  ): Promise<string> {
    const rows: { id: string }[] = await manager.query(
      `insert into suppression (email_hash, scope, reason, source, created_at) values ($1, $2, $3, $4, $5)
       on conflict (email_hash, scope) do update set
         source = case when ${IS_STRONGER} then excluded.source else suppression.source end,
         reason = case when ${IS_STRONGER} then excluded.reason else suppression.reason end
       returning id`,
      [emailHash, scope, reason, source, this.clock.now()],
    );
    return rows[0]?.id ?? '';
  }

  /** For a person who has just confirmed again: what they caused by unsubscribing, and mails that did not arrive before. */
  async liftConfirmed(manager: EntityManager, emailKey: string): Promise<void> {
    await manager.query(
      `delete from suppression where email_hash = $1 and scope = 'marketing' and reason in ('unsubscribed', 'soft_bounce')`,
      [this.hash(emailKey)],
    );
  }

  /** For a decision of the owner; false when no such entry was there. */
  async liftSoft(manager: EntityManager, emailKey: string): Promise<boolean> {
    const [lifted]: [unknown[], number] = await manager.query(
      `delete from suppression where email_hash = $1 and scope = 'marketing' and reason = 'soft_bounce' returning id`,
      [this.hash(emailKey)],
    );
    return lifted.length > 0;
  }

  /**
   * Whether an address that bounced may come back: its mails did not arrive, and no server has said that it is dead. What is
   * known dead, or whose owner complained or was erased, gets no mail at all, and has an entry for all mails. It may have
   * none left at all: an owner's block that is taken off takes with it what was there before.
   */
  async mayComeBack(emailKey: string, manager?: EntityManager): Promise<boolean> {
    const entries = await this.of(emailKey, manager);
    return entries.every(({ scope }) => scope === 'marketing');
  }

  /**
   * For somebody who has another address from now on: what a person or the owner said of them holds for it as well. That mails to
   * the old one came back says nothing of the new one.
   */
  async carry(manager: EntityManager, keys: { from: string; to: string }): Promise<void> {
    await manager.query(
      `insert into suppression (email_hash, scope, reason, source, created_at)
       select $2, scope, reason, source, created_at from suppression
       where email_hash = $1 and reason not in ('hard_bounce', 'soft_bounce') order by id on conflict (email_hash, scope) do nothing`,
      [this.hash(keys.from), this.hash(keys.to)],
    );
  }

  /** Every entry for the address; empty when we may write. */
  async of(emailKey: string, manager: EntityManager = this.dataSource.manager): Promise<Suppression[]> {
    return manager.query(`${SUPPRESSION} where email_hash = $1 order by id desc`, [this.hash(emailKey)]);
  }

  /** How many of the addresses no list mail goes to. */
  async countOf(emailKeys: readonly string[]): Promise<number> {
    const rows: { count: number }[] = await this.dataSource.query(
      'select count(distinct email_hash)::int as count from suppression where email_hash = any($1::bytea[])',
      [emailKeys.map((key) => this.hash(key))],
    );
    return rows[0]?.count ?? 0;
  }

  /** Newest first, below `cursor`. */
  async page(cursor: string | undefined, limit: number): Promise<Suppression[]> {
    return this.dataSource.query(
      `${SUPPRESSION} where ($1::bigint is null or id < $1) order by id desc limit $2`,
      [cursor ?? null, limit],
    );
  }

  async get(id: string): Promise<Suppression> {
    const rows: Suppression[] = await this.dataSource.query(`${SUPPRESSION} where id = $1`, [id]);
    if (rows[0]) return rows[0];
    throw notFound('suppression', id);
  }

  /**
   * Takes a hand-made entry off. Throws `SUPPRESSION_NOT_FOUND`, and `SUPPRESSION_REMOVE_CONFLICT` for one that a
   * person or their mail server caused: that is their word, not the sender's.
   */
  async removeManual(id: string): Promise<void> {
    const { reason } = await this.get(id);
    if (reason !== 'manual') {
      throw new DomainError(
        'SUPPRESSION_REMOVE_CONFLICT',
        reason === 'soft_bounce'
          ? 'Mails to this address did not arrive: the person may confirm anew, or use POST /api/v1/subscribers/{id}/write-again'
          : `Only entries made by hand can be removed; this one is there because of "${reason}"`,
        { id, reason },
      );
    }
    await this.dataSource.query(`delete from suppression where id = $1 and reason = 'manual'`, [id]);
  }
}
