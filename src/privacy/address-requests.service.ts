import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { RateLimits, type RateLimit } from '../infra/rate-limits/rate-limits.service.js';
import { NewAddressService } from '../signup/new-address.service.js';
import { type FormerAddress, mayGoBack } from '../subscribers/address-changes.queries.js';
import {
  AddressChanges,
  type AddressChange,
  type ChangeSource,
  type EmailAddress,
  type Obstacle,
} from '../subscribers/address-changes.service.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { maskEmailAddress, parseEmailAddress } from '../values/email-address.js';
import { mailboxOf } from '../values/mailbox.js';
import { ADDRESS_LINK_HOURS, AddressLinks, BACK_DAYS, type AddressPurpose } from './address-links.service.js';
import type { Where } from './preferences.service.js';
import { PersonalLetters } from './personal-letters.service.js';

/** A forwarded mail must not become a way to flood its reader, nor anybody else whose address is typed. */
const PER_PERSON: RateLimit = { name: 'new-address', points: 3, seconds: 86_400 };
const PER_MAILBOX: RateLimit = { name: 'new-address-mailbox', points: 3, seconds: 86_400 };

/** `often`: enough for a day. `held`: somebody has tried to take the address lately, and it was taken back. */
export type Asked = 'asked' | 'same' | 'often' | 'held' | Obstacle;

export type Pressed =
  | { kind: 'done'; change: AddressChange }
  /** Another change or request took its place, or they have been erased. */
  | { kind: 'over' }
  | { kind: 'expired' }
  | { kind: 'not_ours' }
  | { kind: Obstacle };

/**
 * A new address that is theirs once they have pressed the button of a mail to it; until then all goes to the old one, which is told
 * of it then and can take it back for a week. Whoever holds a forwarded mail holds its preferences link, so the page alone changes nothing.
 */
@Injectable()
export class AddressRequests {
  constructor(
    private readonly dataSource: DataSource,
    private readonly changes: AddressChanges,
    private readonly newAddress: NewAddressService,
    private readonly letters: PersonalLetters,
    private readonly limits: RateLimits,
    private readonly links: AddressLinks,
  ) {}

  /**
   * The caller of the page tells nobody which of `asked`, `taken` and `suppressed` it was: they say whether an address is here. So
   * does the link that was mailed before, which is over in each case, and the number of the next one.
   */
  async ask(person: Subscriber, email: EmailAddress, source: ChangeSource): Promise<Asked> {
    if (person.email === email.address) return 'same';
    const isOwn = source === 'page';
    if (isOwn && (await this.isHeld(person.id))) return 'held';
    if (isOwn && !(await this.limits.take(PER_PERSON, person.id)).allowed) return 'often';
    const obstacle = await this.obstacle(person, email);
    if (obstacle !== null && !isOwn) return obstacle;
    const mailbox = this.changes.hash(mailboxOf(email.key)).toString('hex');
    const isMailed = obstacle === null && (!isOwn || (await this.limits.take(PER_MAILBOX, mailbox)).allowed);
    await this.dataSource.transaction(async (manager) => {
      const id = await this.changes.ask(manager, person.id, email, source);
      if (!isMailed) return;
      await this.letters.plan(manager, {
        dedupeKey: keyOf(id),
        ...{ subscriberId: person.id, purpose: 'new-address', template: 'emails/new-address' },
        ...{ address: email.address, addressHash: this.changes.hash(email.key) },
        data: {
          newAddressUrl: this.links.url('new-address', id),
          addressBefore: maskEmailAddress(person.email),
          hours: ADDRESS_LINK_HOURS,
        },
        expiresAt: this.links.endsAt('new-address'),
      });
    });
    return obstacle ?? 'asked';
  }

  /** For the page with the button: what it is about, if it can still be done. Changes nothing. */
  async look(purpose: AddressPurpose, token: string): Promise<Pressed> {
    const id = this.links.read(purpose, token);
    if (id === null) return { kind: 'not_ours' };
    if (id === 'expired') return { kind: 'expired' };
    if (purpose === 'new-address') await this.letters.came(keyOf(id));
    else await this.letters.came(noticeKeyOf(id));
    const change = await this.changes.find(this.dataSource.manager, id);
    if (change === null) return { kind: 'over' };
    if (purpose === 'new-address' && change.changedAt === null) return { kind: 'done', change };
    const stands =
      purpose === 'address-back'
        ? await mayGoBack(this.dataSource.manager, id)
        : (await this.changes.last(this.dataSource.manager, change.subscriberId))?.id === id;
    return stands ? { kind: 'done', change } : { kind: 'over' };
  }

  /** The button of the mail to the new address. Pressing it twice is pressing it once. */
  async confirm(token: string, where: Where): Promise<Pressed> {
    const looked = await this.look('new-address', token);
    if (looked.kind !== 'done' || looked.change.changedAt !== null) return looked;
    const { id, subscriberId } = looked.change;
    const email = read(looked.change.email);
    const stands = async (manager: EntityManager): Promise<boolean> =>
      (await this.changes.find(manager, id))?.changedAt === null;
    const evidence = { ...where, source: 'page', askedId: id, pageUrl: 'new address page', stands } as const;
    const { kind } = await this.newAddress.change(subscriberId, email, evidence, async (manager, done) => {
      if (done.kind !== 'changed') return;
      const { email: address, emailKey }: FormerAddress = done.before;
      await this.letters.plan(manager, {
        dedupeKey: noticeKeyOf(id),
        ...{ subscriberId, purpose: 'address-changed', template: 'emails/address-changed' },
        ...{ address, addressHash: this.changes.hash(emailKey) },
        data: {
          addressBackUrl: this.links.url('address-back', id),
          addressNew: maskEmailAddress(email.address),
          days: BACK_DAYS,
        },
        expiresAt: this.links.endsAt('address-back'),
      });
    });
    return kind === 'changed' || kind === 'same' ? looked : { kind };
  }

  /** The button of the mail to the old address: the one before is theirs again. */
  async takeBack(token: string, where: Where): Promise<Pressed> {
    const looked = await this.look('address-back', token);
    if (looked.kind !== 'done') return looked;
    const { id, subscriberId, emailBefore } = looked.change;
    const email = read(emailBefore ?? '');
    const stands = async (manager: EntityManager): Promise<boolean> => mayGoBack(manager, id);
    const evidence = {
      ...where,
      source: 'back',
      pageUrl: 'page to take a new address back',
      stands,
    } as const;
    const { kind } = await this.newAddress.change(subscriberId, email, evidence);
    return kind === 'changed' || kind === 'same' ? looked : { kind };
  }

  /** Called every hour. */
  async forgetUnanswered(): Promise<void> {
    await this.changes.forgetAsked(this.links.askedSince());
  }

  private async obstacle({ id, status }: Subscriber, email: EmailAddress): Promise<Obstacle | null> {
    if (status === 'complained') return 'suppressed';
    return this.changes.obstacle(this.dataSource.manager, id, email, { isProven: true });
  }

  private async isHeld(subscriberId: string): Promise<boolean> {
    const last = await this.changes.last(this.dataSource.manager, subscriberId);
    return last?.source === 'back' && (last.changedAt ?? this.links.heldSince()) > this.links.heldSince();
  }
}

const keyOf = (changeId: string): string => `new-address:${changeId}`;
const noticeKeyOf = (changeId: string): string => `address-changed:${changeId}`;

function read(text: string): EmailAddress {
  const email = parseEmailAddress(text);
  if (!email.ok) throw new Error('an address that was kept cannot be read');
  return email;
}
