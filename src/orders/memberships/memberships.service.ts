import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { ProductsService } from '../../offers/products.service.js';
import { ReactionsService } from '../../sequences/events/reactions.service.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import {
  granted,
  isRunning,
  over,
  parseTerm,
  refunded,
  type Membership,
  type MembershipChange,
  type MembershipState,
} from './membership.js';
import { membersHeader, membersRow } from './members-table.js';
import {
  addChange,
  changesOf,
  endDue,
  findMembership,
  listMemberships,
  lockMembership,
  membershipsOfOrder,
  saveMembership,
  type ChangeRow,
  type MembershipFilter,
  type MembershipRow,
  type NewChange,
} from './memberships.queries.js';

const MOST = 500;
const CSV_BATCH = 5_000;

interface Grant {
  subscriberId: string;
  product: { id: string; key: string };
  /** As `parseTerm` reads it. */
  term: string;
  seen?: string | null | undefined;
}

/** Who is a member, by which product, until when. The only writer of `membership` and `membership_change`. */
@Injectable()
export class MembershipsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly products: ProductsService,
    private readonly subscribers: SubscribersService,
    private readonly reactions: ReactionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Within the payment of an order, which is locked and is paid once: each of its products begins a term or adds one. */
  async paid(manager: EntityManager, orderId: string, grants: readonly Grant[]): Promise<void> {
    for (const grant of grants) await this.add(manager, grant, { cause: 'order', orderId });
  }

  /**
   * Within the refund of an order, which holds the buyer: its terms by these products are taken back; others that run on
   * keep the membership.
   */
  async refundedOrder(manager: EntityManager, orderId: string, productIds: readonly string[]): Promise<void> {
    const now = this.clock.now();
    for (const current of await membershipsOfOrder(manager, orderId, productIds)) {
      const next = refunded(current, grantsWithout(await changesOf(manager, current.id), orderId), now);
      const kind = next.state === 'active' ? 'shortened' : 'refunded';
      await this.save(manager, current, { next, change: { kind, cause: 'order', orderId } });
    }
  }

  /**
   * By hand. With `seen`, only to what the caller saw: `updatedAt` of the membership, null for none that runs. Throws
   * `SUBSCRIBER_NOT_FOUND`, `PRODUCT_NOT_FOUND` and `MEMBERSHIP_CHANGED_CONFLICT`.
   */
  async grant(order: {
    subscriberId: string;
    productKey: string;
    term: string;
    reason: string;
    seen?: string | null;
  }): Promise<MembershipRow> {
    const { subscriberId, productKey, term, reason, seen } = order;
    const product = await this.products.findByKey(productKey);
    if (product === null) throw notFound('product', productKey, 'key');
    await this.subscribers.get(subscriberId);
    return this.dataSource.transaction(async (manager) =>
      this.add(manager, { subscriberId, product, term, seen }, { cause: 'hand', reason }),
    );
  }

  /** By hand, at once. One that is over stays as it ended. Throws `MEMBERSHIP_NOT_FOUND`. */
  async end(id: string, reason: string): Promise<MembershipRow> {
    const found = await this.get(id);
    return this.dataSource.transaction(async (manager) => {
      // The person first, as an erasure does. Without them the membership is gone too.
      const isThere = await this.subscribers.hold(manager, found.subscriberId);
      const current = isThere ? await lockMembership(manager, found) : null;
      if (current === null) throw notFound('membership', id);
      const now = this.clock.now();
      if (!isRunning(current, now)) return current;
      const next = over(current, 'ended', now);
      return this.save(manager, current, { next, change: { kind: 'ended', cause: 'hand', reason } });
    });
  }

  /** Those whose time has come, one product after the other. Returns how many there were. */
  async endAllDue(signal: AbortSignal): Promise<number> {
    let count = 0;
    for (let more = true; more && !signal.aborted;)
      more = await this.dataSource.transaction(async (manager) => {
        const due = await endDue(manager, this.clock.now(), MOST);
        if (due === null) return false;
        count += due.subscriberIds.length;
        await this.tell(manager, due.subscriberIds, { product: due.productKey, state: 'ended' });
        return true;
      });
    return count;
  }

  /** Newest first. */
  async list(
    filter: MembershipFilter,
    page: { beforeId?: string | undefined; limit: number },
  ): Promise<MembershipRow[]> {
    const now = this.clock.now();
    const rows = await listMemberships(this.dataSource.manager, filter, { ...page, now });
    return rows.map((row) => asOf(row, now));
  }

  /** Throws `MEMBERSHIP_NOT_FOUND`. */
  async get(id: string): Promise<MembershipRow> {
    const found = await findMembership(this.dataSource.manager, id);
    if (found) return asOf(found, this.clock.now());
    throw notFound('membership', id);
  }

  /** All that the filter finds, newest first, as a table that spreadsheets cannot execute. Holds one batch in memory. */
  async *csv(filter: MembershipFilter): AsyncGenerator<string> {
    yield membersHeader();
    for (let beforeId: string | undefined; ;) {
      const rows = await this.list(filter, { beforeId, limit: CSV_BATCH });
      const last = rows.at(-1);
      if (last === undefined) return;
      yield rows.map(membersRow).join('');
      beforeId = last.id;
    }
  }

  async history(id: string): Promise<ChangeRow[]> {
    return changesOf(this.dataSource.manager, id);
  }

  /** Which of the products the person is a member by at this moment. */
  async running(
    subscriberId: string,
    productIds: readonly string[],
    manager: EntityManager = this.dataSource.manager,
  ): Promise<MembershipRow[]> {
    const page = { limit: 1_000, now: this.clock.now() };
    const rows = await listMemberships(manager, { subscriberId, state: 'active' }, page);
    return rows.filter(({ productId }) => productIds.includes(productId));
  }

  private async add(
    manager: EntityManager,
    { subscriberId, product, term, seen }: Grant,
    change: Omit<NewChange, 'kind'>,
  ): Promise<MembershipRow> {
    // Two orders of a new member at once: the second adds to what the first has begun.
    if (!(await this.subscribers.hold(manager, subscriberId))) throw notFound('subscriber', subscriberId);
    const current = await lockMembership(manager, { subscriberId, productId: product.id });
    const now = this.clock.now();
    const running = current !== null && isRunning(current, now);
    const standing = seen === null && !running ? null : (current?.updatedAt.toISOString() ?? null);
    if (seen !== undefined && seen !== standing) {
      throw new DomainError('MEMBERSHIP_CHANGED_CONFLICT', 'The membership has changed meanwhile');
    }
    const kind = running ? 'prolonged' : 'began';
    const next = granted(current, parseTerm(term), now);
    const place = { subscriberId, productId: product.id, productKey: product.key };
    return this.save(manager, place, { next, change: { ...change, kind, term } });
  }

  private async save(
    manager: EntityManager,
    place: Pick<MembershipRow, 'subscriberId' | 'productId' | 'productKey'>,
    { next, change }: { next: Membership; change: NewChange },
  ): Promise<MembershipRow> {
    const now = this.clock.now();
    const id = await saveMembership(manager, place, next, now);
    await addChange(manager, id, change, { ...next, at: now });
    const isNews = change.kind !== 'prolonged' && change.kind !== 'shortened';
    if (isNews)
      await this.tell(manager, [place.subscriberId], { product: place.productKey, state: next.state });
    else await this.reactions.lookAgain(manager, [place.subscriberId]);
    const saved = await findMembership(manager, id);
    if (saved === null) throw new Error(`membership ${id} was not stored`);
    return saved;
  }

  private async tell(
    manager: EntityManager,
    subscriberIds: readonly string[],
    { product, state }: { product: string; state: MembershipState },
  ): Promise<void> {
    await this.reactions.happened(manager, subscriberIds, { kind: 'member', product, state });
  }
}

function asOf(row: MembershipRow, now: Date): MembershipRow {
  return row.state === 'active' && !isRunning(row, now) ? { ...row, state: 'ended' } : row;
}

/** What remains when `orderId`, and every order that was taken back before, had never been. */
function grantsWithout(changes: readonly ChangeRow[], orderId: string): MembershipChange[] {
  const takenBack = new Set(
    changes.flatMap(({ kind, orderId: of }) => (kind === 'shortened' || kind === 'refunded' ? [of] : [])),
  );
  return changes.flatMap(({ kind, cause, at, term, orderId: of }): MembershipChange[] => {
    if (kind === 'ended') return cause === 'hand' ? [{ kind, at }] : [];
    if (term === null || (of !== null && (of === orderId || takenBack.has(of)))) return [];
    return [{ kind: 'granted', at, term: parseTerm(term), orderId: of }];
  });
}
