import { quotedPrintableRoom, writeQuotedPrintable, EQUALS, LF } from './quoted-printable.js';

const FIRST_ROOM = 64 * 1024;

/**
 * Octets written one after the other into one room that grows. The room is kept from mail to mail: new memory of this
 * size for each part of each mail was a tenth of what composing costs.
 */
export class Octets {
  #room = Buffer.allocUnsafe(FIRST_ROOM);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Ends in a soft line break of quoted-printable. */
  get endsSoftly(): boolean {
    return this.#room[this.#length - 3] === EQUALS && this.#room[this.#length - 1] === LF && this.#length > 2;
  }

  clear(): void {
    this.#length = 0;
    // One monstrous mail must not cost its memory for ever.
    if (this.#room.length > FIRST_ROOM * 4) this.#room = Buffer.allocUnsafe(FIRST_ROOM);
  }

  put(octets: Buffer): void {
    this.#reserve(octets.length);
    this.#room.set(octets, this.#length);
    this.#length += octets.length;
  }

  /** Signs of ISO 8859-1, one octet each. */
  putLatin1(text: string): void {
    this.#reserve(text.length);
    this.#length += this.#room.write(text, this.#length, 'latin1');
  }

  putQuotedPrintable(text: string): void {
    this.#reserve(quotedPrintableRoom(text));
    this.#length = writeQuotedPrintable(text, this.#room, this.#length);
  }

  /** What was written since `from`; good until the next is written. */
  since(from: number): Buffer {
    return this.#room.subarray(from, this.#length);
  }

  /** All that was written, in memory of its own, behind so many octets that are free. */
  copied(behind: number): Buffer {
    const copy = Buffer.allocUnsafe(behind + this.#length);
    this.#room.copy(copy, behind, 0, this.#length);
    return copy;
  }

  #reserve(octets: number): void {
    if (this.#length + octets <= this.#room.length) return;
    const larger = Buffer.allocUnsafe((this.#length + octets) * 2);
    larger.set(this.#room.subarray(0, this.#length));
    this.#room = larger;
  }
}
