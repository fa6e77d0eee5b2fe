/** So many receivers, or so many mails, make it the relay's trouble. */
const RECEIVERS = 2;
const MAILS = 5;

/**
 * Tells a relay that puts off whatever it is given, as one whose disk is full, from one mail or one receiver that is put
 * off: what speaks behind MAIL FROM may be either. Counts the mails that a relay was tried with, and put off with words
 * about a system's own state, since it last showed that it works. One for each relay.
 */
export class PutOffs {
  readonly #receivers = new Set<string>();
  readonly #mails = new Set<string>();

  worked(): void {
    this.#receivers.clear();
    this.#mails.clear();
  }

  /** Whether it is the relay. The same mail, tried again, proves nothing new. */
  add(mail: string, receiver: string): boolean {
    // No more is kept than it takes: an outage may be long.
    if (this.#receivers.size < RECEIVERS) this.#receivers.add(receiver);
    if (this.#mails.size < MAILS) this.#mails.add(mail);
    return this.#receivers.size === RECEIVERS || this.#mails.size === MAILS;
  }
}
