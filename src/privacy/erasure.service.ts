import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { forgetAffiliateOf } from '../affiliates/forget.queries.js';
import { forgetSubscriber as forgetBounces } from '../bounces/forget.queries.js';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { forgetImportedRows } from '../imports/forget.queries.js';
import { retriedAfterDeadlock } from '../infra/database/deadlock.js';
import { IdempotencyKeys } from '../infra/http/idempotency-keys.js';
import type { Unchanged } from '../infra/http/etag.js';
import { MailboxService } from '../infra/mailbox/mailbox.service.js';
import { OrdersService } from '../orders/orders.service.js';
import { forgetSignals } from '../sequences/events/forget.queries.js';
import { type FormerAddress, formerAddresses } from '../subscribers/address-changes.queries.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { forgetSubscriber as forgetHits } from '../tracking/forget.queries.js';
import { namesPerson } from './names-person.js';

/** A job that holds the person's enrollments and adds one waits for us, and we for the enrollments. */
const TRIES = 5;

/** Forgetting a person, everywhere and in one transaction. A new table that knows people gets its line here. */
@Injectable()
export class ErasureService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly answers: IdempotencyKeys,
    private readonly messages: MessagesService,
    private readonly orders: OrdersService,
    private readonly mailbox: MailboxService,
  ) {}

  /**
   * What stays: the hash of the address on the suppression list, the ledger's rows without a recipient, counts, paid
   * orders as the books need them, an affiliate whom money is owed to until it is paid, and the file of an import that nobody
   * has taken yet, for a day: its bytes may be a packed archive. Taken, it brings nobody back. Sign-ups that are kept on disk go when
   * their process tries them next. False when there is nobody.
   */
  async erase(
    subscriberId: string,
    source: string,
    unchanged: Unchanged<Subscriber> = () => undefined,
  ): Promise<boolean> {
    const person = await this.subscribers.find(subscriberId);
    if (person === null) return false;
    // Before anything of them is forgotten, and once more with their row locked.
    unchanged(person);
    // Most of them: at the end of what follows all requests with a key wait for the rest.
    const former = await formerAddresses(this.dataSource.manager, subscriberId);
    const lookedAt = await this.answers.forget((answer) =>
      namesAny(answer, [person, ...former], subscriberId),
    );
    return retriedAfterDeadlock(TRIES, async () =>
      this.dataSource.transaction(async (manager) =>
        this.eraseIn(manager, subscriberId, { source, lookedAt, unchanged }),
      ),
    );
  }

  private async eraseIn(
    manager: EntityManager,
    subscriberId: string,
    { source, lookedAt, unchanged }: { source: string; lookedAt: Date; unchanged: Unchanged<Subscriber> },
  ): Promise<boolean> {
    // As a payment and a refund do: their order first, then the person. The other way round the two would wait for each other.
    const known = await this.subscribers.find(subscriberId, manager);
    if (known !== null) await this.orders.hold(manager, { subscriberId, email: known.email });
    // From here on nothing comes that points at the person: what came after we had looked would stay for good.
    await this.subscribers.holdAlone(manager, subscriberId);
    const person = await this.subscribers.find(subscriberId, manager);
    if (person === null) return false;
    unchanged(person);
    const addresses = [person, ...(await formerAddresses(manager, subscriberId))];
    for (const { emailKey } of addresses) await this.messages.adopt(manager, { subscriberId, emailKey });
    // Hits and bounces are found by the person's mails, so they come before the mails let go of them.
    await forgetHits(manager, subscriberId);
    await forgetBounces(manager, subscriberId);
    for (const { email } of addresses) await this.orders.forget(manager, { subscriberId, email });
    await this.messages.forget(manager, subscriberId);
    for (const { email, emailKey } of addresses) {
      await this.mailbox.forget(manager, email);
      await forgetImportedRows(manager, emailKey);
      await forgetAffiliateOf(manager, emailKey);
    }
    await forgetSignals(manager, subscriberId);
    await this.subscribers.erase(manager, subscriberId, source);
    await this.answers.forgetForGood(manager, lookedAt, (answer) =>
      namesAny(answer, addresses, subscriberId),
    );
    return true;
  }
}

function namesAny(answer: unknown, addresses: readonly FormerAddress[], id: string): boolean {
  return addresses.some(({ email, emailKey }) => namesPerson(answer, { id, email, emailKey }));
}
