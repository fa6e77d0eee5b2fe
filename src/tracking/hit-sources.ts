import { dailyHash } from './daily-hash.js';
import { headerFacts, type HitSource, type RequestFacts } from './hit-batch.js';
import { isLoopback } from './hit-class.js';
import { networkOf } from './mail-networks.js';
import { DAY_MS } from '../values/time-units.js';

const MOST_REMEMBERED = 2_000;

/** What is known of a client, worked out once while its hits come one after the other. */
export class HitSources {
  readonly #known = new Map<string, HitSource>();
  #day = Number.NaN;

  /** `mailboxOn`: mails are read on this machine itself. */
  constructor(
    private readonly secret: Buffer,
    private readonly mailboxOn: boolean,
  ) {}

  /** The same object for hits of one client on one UTC day, as long as it is remembered. */
  of(
    kind: HitSource['kind'],
    request: Pick<RequestFacts, 'ip' | 'method' | 'headers'>,
    atMs: number,
  ): HitSource {
    const day = Math.floor(atMs / DAY_MS);
    // The hash of an address holds for one day.
    if (day !== this.#day || this.#known.size >= MOST_REMEMBERED) this.#known.clear();
    this.#day = day;
    const facts = headerFacts(request);
    const { method, userAgent, purpose, hasAcceptLanguage, fetchDest } = facts;
    const key = `${kind} ${request.ip} ${method} ${hasAcceptLanguage} ${fetchDest}\0${purpose}\0${userAgent}`;
    const known = this.#known.get(key);
    if (known) return known;
    const source = { kind, ...facts, ...this.placeOf(request.ip, atMs) };
    this.#known.set(key, source);
    return source;
  }

  private placeOf(ip: string, atMs: number): Pick<HitSource, 'ipHash' | 'network' | 'local'> {
    const day = new Date(atMs).toISOString().slice(0, 10);
    return {
      ipHash: dailyHash(this.secret, { purpose: 'ip', day, value: ip }).toString('hex'),
      network: networkOf(ip),
      local: this.mailboxOn && isLoopback(ip),
    };
  }
}
