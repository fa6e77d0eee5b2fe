import { dailyHash } from './daily-hash.js';
import { type HeaderFacts, headerFacts, type HitSource, type RequestFacts } from './hit-batch.js';
import { isLoopback } from './hit-class.js';
import { networkOf } from './mail-networks.js';
import { DAY_MS } from '../values/time-units.js';

const MOST_REMEMBERED = 2_000;

/** What is known of a client, worked out once while its hits come one after the other. */
export class HitSources {
  /** By address, then by user agent: one key made of all would be put together and hashed for each hit. */
  readonly #known = new Map<string, Map<string | null, HitSource[]>>();
  #remembered = 0;
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
    if (day !== this.#day || this.#remembered >= MOST_REMEMBERED) this.#forget();
    this.#day = day;
    const facts = headerFacts(request);
    let ofAddress = this.#known.get(request.ip);
    if (!ofAddress) this.#known.set(request.ip, (ofAddress = new Map()));
    let ofProgram = ofAddress.get(facts.userAgent);
    if (!ofProgram) ofAddress.set(facts.userAgent, (ofProgram = []));
    for (const source of ofProgram) if (source.kind === kind && isAlike(source, facts)) return source;
    const source = { kind, ...facts, ...this.placeOf(request.ip, atMs) };
    ofProgram.push(source);
    this.#remembered++;
    return source;
  }

  #forget(): void {
    this.#known.clear();
    this.#remembered = 0;
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

/** Of the same address and user agent. */
function isAlike(a: HeaderFacts, b: HeaderFacts): boolean {
  return (
    a.method === b.method &&
    a.purpose === b.purpose &&
    a.hasAcceptLanguage === b.hasAcceptLanguage &&
    a.fetchDest === b.fetchDest
  );
}
