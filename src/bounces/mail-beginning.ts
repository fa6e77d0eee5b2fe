/** The first bytes of a mail that comes in by pieces, or more of it where these ask for more. */
export class MailBeginning {
  readonly #pieces: Uint8Array[] = [];
  #kept = 0;
  #limit: number;
  #asked = false;

  /** `bytesToKeep` is asked once, when the first bytes are there and more comes. */
  constructor(
    private readonly firstBytes: number,
    private readonly bytesToKeep: (head: Uint8Array) => number,
  ) {
    this.#limit = firstBytes;
  }

  get wantsMore(): boolean {
    return this.#limit > this.firstBytes;
  }

  add(piece: Uint8Array): void {
    const room = this.#limit - this.#kept;
    const [fits, rest] = [piece.subarray(0, room), piece.subarray(room)];
    if (fits.length > 0) this.#pieces.push(fits);
    this.#kept += fits.length;
    if (rest.length === 0 || this.#asked) return;
    this.#asked = true;
    this.#limit = this.bytesToKeep(this.bytes());
    this.add(rest);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  /** Nothing of it is wanted any more. */
  drop(): void {
    this.#pieces.length = 0;
    this.#limit = this.#kept;
  }
}
