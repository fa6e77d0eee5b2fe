import { domainOf } from '../../values/email-address.js';
import type { ClaimedMessage } from '../message/message.js';

/** So many receivers, or so many mails, make it the relay's trouble. */
const RECEIVERS = 2;
const MAILS = 5;
/** Beyond so many kinds of mails it is the relay. */
const TEMPLATES = 20;

/**
 * Tells a relay that puts off whatever it is given, as one whose disk is full, from one mail or one receiver that is put
 * off: what speaks behind MAIL FROM may be either. Counts the mails that a relay was tried with, and put off with words
 * about a system's own state, since it last showed that it works. One for each relay.
 */
export class PutOffs {
  readonly #receivers = new Set<string>();
  readonly #mails = new Set<string>();
  readonly #templates = new Set<string>();

  worked(): void {
    this.#receivers.clear();
    this.#mails.clear();
    this.#templates.clear();
  }

  /** Whether it is the relay. The same mail, tried again, proves nothing new. */
  add({ id, address, templateId }: Pick<ClaimedMessage, 'id' | 'address' | 'templateId'>): boolean {
    // No more is kept than it takes: an outage may be long.
    if (this.#receivers.size < RECEIVERS) this.#receivers.add(domainOf(address));
    if (this.#mails.size < MAILS) this.#mails.add(id);
    if (this.#templates.size < TEMPLATES) this.#templates.add(templateId);
    return this.#isRelay;
  }

  /**
   * Whose mails it was tried with, once it seems to be the relay. It may be their words, which a filter in it does not like
   * and other mails do not have: the next try is to be by one of those. Else a broadcast that is first in line each time
   * would keep a relay that works shut for all.
   */
  get templates(): string[] {
    return this.#isRelay ? [...this.#templates] : [];
  }

  get #isRelay(): boolean {
    return this.#receivers.size === RECEIVERS || this.#mails.size === MAILS;
  }
}
