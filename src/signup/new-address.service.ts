import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { isUniqueViolation, retriedAfterDeadlock } from '../infra/database/deadlock.js';
import type { Unchanged } from '../infra/http/etag.js';
import { EventsService } from '../sequences/events/events.service.js';
import {
  AddressChanges,
  addressWords,
  type ChangeSource,
  type EmailAddress,
  type Obstacle,
} from '../subscribers/address-changes.service.js';
import type { FormerAddress } from '../subscribers/address-changes.queries.js';
import type { ConsentWords, Subscriber } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { removeSubscriber } from '../subscribers/subscribers.queries.js';
import { ConfirmationService } from './confirmation.service.js';
import { unprovenHolder } from './unproven-holder.queries.js';

/** Sequences may begin with it, and a step of theirs may post it to the owner's other programs. */
export const ADDRESS_CHANGED = 'address-changed';

/** Whoever plans a mail for the person waits for us, and we for them. */
const TRIES = 5;

export type Readdressed =
  | { kind: 'changed'; before: FormerAddress }
  | { kind: 'same' }
  /** What was to be done has been overtaken: see `stands`. */
  | { kind: 'over' }
  | { kind: Obstacle };

/** By whom, and with which evidence. `note`: how they told the owner. */
export type AddressEvidence = Omit<ConsentWords, 'consentText'> & {
  source: ChangeSource;
  askedId?: string;
  note?: string | undefined;
  /** Asked with the person's row locked. */
  unchanged?: Unchanged<Subscriber> | undefined;
  /** Of a link: whether it may still be pressed. Asked with the person's row locked, as the sender may change it meanwhile. */
  stands?: (manager: EntityManager) => Promise<boolean>;
};

/**
 * Another address for somebody who stays the same: status, waiting mails, confirmations that are open and the word to sequences, in one
 * transaction. Links of mails that went to the old one go on working, as they name the person.
 */
@Injectable()
export class NewAddressService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly changes: AddressChanges,
    private readonly messages: MessagesService,
    private readonly confirmation: ConfirmationService,
    private readonly events: EventsService,
  ) {}

  /** `also` is done in the same transaction, where the address is changed or was so before. Throws `SUBSCRIBER_NOT_FOUND`. */
  async change(
    subscriberId: string,
    email: EmailAddress,
    evidence: AddressEvidence,
    also: (manager: EntityManager, done: Readdressed) => Promise<void> = async () => undefined,
  ): Promise<Readdressed> {
    const work = async (manager: EntityManager): Promise<Readdressed> => {
      const done = await this.changeIn(manager, subscriberId, email, evidence);
      if (done.kind === 'changed' || done.kind === 'same') await also(manager, done);
      return done;
    };
    try {
      return await retriedAfterDeadlock(TRIES, async () => this.dataSource.transaction(work));
    } catch (error) {
      // Somebody signed up with it at the same moment.
      if (isUniqueViolation(error)) return { kind: 'taken' };
      throw error;
    }
  }

  /** As `change`, for the sender. Throws `SUBSCRIBER_ALREADY_EXISTS` and `SUBSCRIBER_ADDRESS_CONFLICT`, too. */
  async changeOrRefuse(...change: Parameters<NewAddressService['change']>): Promise<void> {
    const [id, email] = change;
    await this.refuse(id, email, (await this.change(...change)).kind);
  }

  /** Throws `SUBSCRIBER_ALREADY_EXISTS` and `SUBSCRIBER_ADDRESS_CONFLICT`, each for the obstacle that it is, else nothing. */
  async refuse(id: string, email: EmailAddress, outcome: string): Promise<void> {
    if (outcome === 'taken') throw await this.taken(email);
    if (outcome === 'suppressed') throw suppressed(id);
  }

  private async taken({ key }: EmailAddress): Promise<DomainError> {
    const holder = await this.subscribers.findByEmailKey(key);
    const facts = holder === null ? {} : { id: holder.id };
    return new DomainError(
      'SUBSCRIBER_ALREADY_EXISTS',
      'email: there is a subscriber with this address',
      facts,
    );
  }

  /** Else whoever has taken an address would only have to type it into a form, and it could not be taken back. */
  private async letGo(manager: EntityManager, subscriberId: string, { key }: EmailAddress): Promise<void> {
    const holder = await unprovenHolder(manager, key);
    if (holder === null || holder === subscriberId) return;
    await this.messages.forget(manager, holder);
    await removeSubscriber(manager, holder);
  }

  private async changeIn(
    manager: EntityManager,
    subscriberId: string,
    email: EmailAddress,
    { note, unchanged, stands, ...evidence }: AddressEvidence,
  ): Promise<Readdressed> {
    await this.subscribers.holdAlone(manager, subscriberId);
    const person = await this.subscribers.find(subscriberId, manager);
    if (person === null && stands) return { kind: 'over' };
    if (person === null) throw notFound('subscriber', subscriberId);
    unchanged?.(person);
    if (person.email === email.address) return { kind: 'same' };
    if (stands && !(await stands(manager))) return { kind: 'over' };
    if (evidence.source === 'back') await this.letGo(manager, subscriberId, email);
    const isProven = evidence.source === 'page' || evidence.source === 'back';
    const obstacle = await this.changes.obstacle(manager, subscriberId, email, { isProven });
    // What keeps mails from an address does so once it is theirs again; left with the thief, all that is known would go there.
    const isBarred = obstacle === 'suppressed' && evidence.source !== 'back';
    if (obstacle === 'taken' || isBarred) return { kind: obstacle };
    const words = addressWords(email.address, person.email);
    const before = await this.changes.change(manager, subscriberId, email, {
      ...evidence,
      consentText: note === undefined ? words : `${words} (${note})`,
    });
    await this.messages.readdress(manager, subscriberId, {
      before: this.changes.hash(before.emailKey),
      address: email.address,
      addressHash: this.changes.hash(email.key),
    });
    if (before.emailKey !== email.key) {
      await this.confirmation.askAgain(manager, subscriberId, email);
      await this.events.tellIn(manager, { subscriberId, name: ADDRESS_CHANGED });
    }
    return { kind: 'changed', before };
  }
}

function suppressed(id: string): DomainError {
  return new DomainError(
    'SUBSCRIBER_ADDRESS_CONFLICT',
    'email: no list mail goes to this address: its owner has left, complained or was erased, it is blocked, or mails to it came back',
    { id },
  );
}
