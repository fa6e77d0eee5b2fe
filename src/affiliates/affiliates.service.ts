import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { ReactionsService } from '../sequences/events/reactions.service.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import type { EmailAddressParse } from '../values/email-address.js';
import { mailboxOf } from '../values/mailbox.js';
import type { Affiliate, AffiliateFigures, AffiliateState } from './affiliate.js';
import {
  figuresOf,
  findAffiliate,
  findByCode,
  listAffiliates,
  listRecruited,
  recruiters,
} from './affiliates.queries.js';
import { forgetAffiliate } from './forget.queries.js';
import { forgetLogins } from './partner/partner.queries.js';
import { wouldLoop } from './recruiting-tree.js';

type Address = Extract<EmailAddressParse, { ok: true }>;

interface NewAffiliate {
  code: string;
  name: string;
  email: Address;
  recruiterId: string | null;
}

interface AffiliateChange {
  name?: string | undefined;
  email?: Address | undefined;
  state?: AffiliateState | undefined;
  recruiterId?: string | null | undefined;
}

/** Whoever changes the tree of recruiters waits for whoever changes it now: two changes at once could close a loop. */
const LOCK_TREE = `select pg_advisory_xact_lock(hashtextextended('affiliate tree', 0))`;

/** The partners. The only writer of `affiliate`. */
@Injectable()
export class AffiliatesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly reactions: ReactionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Throws `AFFILIATE_CODE_CONFLICT`, `AFFILIATE_EMAIL_CONFLICT` for a mailbox that an affiliate has under this or a
   * similar address, and `AFFILIATE_RECRUITER_INVALID`.
   */
  async create({ code, name, email, recruiterId }: NewAffiliate): Promise<Affiliate> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query(LOCK_TREE);
      if ((await findByCode(manager, code)) !== null)
        throw refused('AFFILIATE_CODE_CONFLICT', 'code', `another affiliate has the code "${code}"`);
      await this.checkMailbox(manager, email, null);
      if (recruiterId !== null) await this.checkRecruiter(manager, recruiterId, null);
      const rows: { id: string }[] = await manager.query(
        `insert into affiliate (code, name, email, email_key, mailbox, recruiter_id, state, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, 'active', $7, $7) returning id`,
        [code, name, email.address, email.key, mailboxOf(email.key), recruiterId, this.clock.now()],
      );
      await this.becomesOne(manager, email);
      return this.get(rows[0]?.id ?? '', manager);
    });
  }

  /** A change of recruiter counts for sales that are paid from now on. Throws as `create`, and `AFFILIATE_NOT_FOUND`. */
  async update(id: string, { name, email, state, recruiterId }: AffiliateChange): Promise<Affiliate> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query(LOCK_TREE);
      const affiliate = await this.get(id, manager);
      if (affiliate.isErased) throw erased();
      if (email !== undefined) await this.checkMailbox(manager, email, id);
      if (typeof recruiterId === 'string') await this.checkRecruiter(manager, recruiterId, id);
      const [changed]: [unknown[], number] = await manager.query(
        `update affiliate set name = coalesce($2, name), email = coalesce($3, email), email_key = coalesce($4, email_key),
           mailbox = coalesce($5, mailbox), state = coalesce($6, state),
           recruiter_id = case when $7 then $8::bigint else recruiter_id end, updated_at = $9
          where id = $1 and not erased returning id`,
        [
          ...[id, name ?? null, email?.address ?? null, email?.key ?? null],
          ...[email === undefined ? null : mailboxOf(email.key), state ?? null],
          ...[recruiterId !== undefined, recruiterId ?? null, this.clock.now()],
        ],
      );
      // With the subscriber of the same address, since we looked.
      if (changed.length === 0) throw erased();
      if (email !== undefined && email.address !== affiliate.email) {
        // Whoever reads the old mailbox sees their page no longer.
        await forgetLogins(manager, id);
        await this.becomesOne(manager, email);
      }
      return this.get(id, manager);
    });
  }

  /** Name and address go, and the link earns no more. Clicks, commissions and payouts stay, as the books need them. */
  async erase(id: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query(LOCK_TREE);
      await this.get(id, manager);
      await forgetAffiliate(manager, id);
    });
  }

  async get(id: string, manager: EntityManager = this.dataSource.manager): Promise<Affiliate> {
    const found = await findAffiliate(manager, id);
    if (found) return found;
    throw notFound('affiliate', id);
  }

  async findByCode(code: string): Promise<Affiliate | null> {
    return findByCode(this.dataSource.manager, code);
  }

  /** Those of the codes that belong to somebody. */
  async known(
    codes: readonly string[],
    manager: EntityManager = this.dataSource.manager,
  ): Promise<Set<string>> {
    const rows: { code: string }[] = await manager.query('select code from affiliate where code = any ($1)', [
      codes,
    ]);
    return new Set(rows.map(({ code }) => code));
  }

  async list(
    page: { beforeId: string | undefined; limit: number },
    manager: EntityManager = this.dataSource.manager,
  ): Promise<Affiliate[]> {
    return listAffiliates(manager, page);
  }

  /** Those they recruited, the first first. */
  async recruitedBy(id: string): Promise<Affiliate[]> {
    return listRecruited(this.dataSource.manager, id);
  }

  async figures(ids: readonly string[]): Promise<Map<string, AffiliateFigures>> {
    return figuresOf(this.dataSource.manager, ids, this.clock.now());
  }

  /** Sequences of the subscriber with this address, if there is one, hear of it. */
  private async becomesOne(manager: EntityManager, { key }: Address): Promise<void> {
    // The person before their places in sequences, as an erasure has them.
    const people: { id: string }[] = await manager.query(
      'select id from subscriber where email_key = $1 for key share',
      [key],
    );
    for (const { id } of people)
      await this.reactions.happened(manager, [id], { kind: 'affiliate', whose: 'self' });
  }

  private async checkMailbox(manager: EntityManager, email: Address, except: string | null): Promise<void> {
    const taken: unknown[] = await manager.query(
      `select 1 from affiliate where mailbox = $1 and ($2::bigint is null or id <> $2)`,
      [mailboxOf(email.key), except],
    );
    if (taken.length === 0) return;
    const message = 'another affiliate has this mailbox, under this or a similar address';
    throw refused('AFFILIATE_EMAIL_CONFLICT', 'email', message);
  }

  private async checkRecruiter(
    manager: EntityManager,
    recruiterId: string,
    id: string | null,
  ): Promise<void> {
    const recruiter = await findAffiliate(manager, recruiterId);
    if (recruiter === null || recruiter.isErased)
      throw refused('AFFILIATE_RECRUITER_INVALID', 'recruiterId', 'use the id of an affiliate who is there');
    if (id === null || !wouldLoop(await recruiters(manager), id, recruiterId)) return;
    const message =
      'this affiliate was recruited by the other, or by somebody they recruited; use one above or beside';
    throw refused('AFFILIATE_RECRUITER_INVALID', 'recruiterId', message);
  }
}

function erased(): DomainError {
  return refused('AFFILIATE_ERASED', 'id', 'this affiliate was erased; only their money is kept');
}

function refused(code: string, field: string, reason: string): DomainError {
  return new DomainError(code, `${field}: ${reason}`, { field });
}
