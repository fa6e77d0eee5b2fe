import { lookup as systemLookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, request, type Dispatcher } from 'undici';
import { isPublicAddress } from './public-address.js';
import { urlOf } from '../values/url.js';

interface ResolvedAddress {
  address: string;
  family: number;
}

export type Resolve = (hostname: string) => Promise<ResolvedAddress[]>;

/** `refused`: the address lies inside somebody's network, or is none that we ask. */
export type FetchOutcome =
  | { kind: 'answered'; status: number; finalUrl: string }
  | { kind: 'refused'; reason: string }
  | { kind: 'failed'; reason: string };

type Fetched =
  | (Extract<FetchOutcome, { kind: 'answered' }> & { bytes: Buffer | null; contentType: string })
  | Exclude<FetchOutcome, { kind: 'answered' }>;

const MAX_REDIRECTS = 5;
const TIMEOUT_MS = 5_000;
const PORTS = new Set(['', '80', '443']);
/** Answers of servers that do not do HEAD, or not for everybody. */
const NOT_FOR_HEAD = new Set([400, 403, 404, 405, 500, 501, 503]);

const systemResolve: Resolve = async (hostname) => systemLookup(hostname, { all: true });

/**
 * Asks addresses that others wrote whether they answer, without being led into our own network: every address a name
 * has must be public, the connection goes to the very addresses that were checked, and each redirect is checked anew.
 * `ownOrigin` is reached wherever it lies. No cookies, no body, five seconds in all.
 */
export class SafeFetch {
  readonly #own = new Agent({ connect: { timeout: TIMEOUT_MS } });
  readonly #outside: Agent;

  /** `allowInside`: the owner has said that addresses of inner networks may be asked, at any port. */
  constructor(
    private readonly ownOrigin: string,
    private readonly resolve: Resolve = systemResolve,
    private readonly allowInside = false,
  ) {
    this.#outside = new Agent({ connect: { timeout: TIMEOUT_MS, lookup: this.checkedLookup() } });
  }

  async probe(url: string): Promise<FetchOutcome> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const head = await this.follow(url, 'HEAD', signal);
    return head.kind === 'answered' && NOT_FOR_HEAD.has(head.status) ? this.follow(url, 'GET', signal) : head;
  }

  /** One POST. A redirect is an answer like any other: what is posted goes where it was meant to go or nowhere. */
  async post(
    url: string,
    { headers, body }: { headers: Record<string, string>; body: string },
  ): Promise<FetchOutcome> {
    const problem = this.problemOf(url);
    if (problem !== null) return { kind: 'refused', reason: problem };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    try {
      const dispatcher = this.dispatcherFor(url);
      const answer = await request(url, { method: 'POST', dispatcher, signal, headers, body });
      answer.body.on('error', () => undefined).destroy();
      return { kind: 'answered', status: answer.statusCode, finalUrl: url };
    } catch (error) {
      return outcomeOf(error, signal);
    }
  }

  /** A file and where redirects led to it. `bytes`: null when it is larger than `maxBytes`, of which no more is read. */
  async download(url: string, maxBytes: number): Promise<Fetched> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    let found: { bytes: Buffer | null; contentType: string } = { bytes: null, contentType: '' };
    const outcome = await this.follow(url, 'GET', signal, async ({ headers, body }) => {
      found = { bytes: await bytesOf(body, maxBytes), contentType: String(headers['content-type'] ?? '') };
    });
    return outcome.kind === 'answered' ? { ...outcome, ...found } : outcome;
  }

  async close(): Promise<void> {
    await Promise.all([this.#own.destroy(), this.#outside.destroy()]);
  }

  /** `read`: is given the answer that no redirect leads on from. */
  private async follow(
    start: string,
    method: 'HEAD' | 'GET',
    signal: AbortSignal,
    read?: (answer: Dispatcher.ResponseData) => Promise<void>,
  ): Promise<FetchOutcome> {
    let url = start;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const problem = this.problemOf(url);
      if (problem !== null) return { kind: 'refused', reason: problem };
      try {
        const dispatcher = this.dispatcherFor(url);
        const answer = await request(url, { method, dispatcher, signal });
        const { statusCode, headers, body } = answer;
        const { location } = headers;
        const isLast = statusCode < 300 || statusCode > 399 || typeof location !== 'string';
        body.on('error', () => undefined);
        if (isLast) await read?.(answer);
        body.destroy();
        if (isLast) return { kind: 'answered', status: statusCode, finalUrl: url };
        url = new URL(location, url).href;
      } catch (error) {
        return outcomeOf(error, signal);
      }
    }
    return { kind: 'failed', reason: `more than ${MAX_REDIRECTS} redirects` };
  }

  private dispatcherFor(url: string): Agent {
    return new URL(url).origin === this.ownOrigin ? this.#own : this.#outside;
  }

  /** What can be said without asking the DNS; an address written as a number is never looked up. */
  private problemOf(text: string): string | null {
    const url = urlOf(text);
    if (url === null) return 'it is no address';
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'only http and https are followed';
    if (url.origin === this.ownOrigin) return null;
    if (url.username !== '' || url.password !== '') return 'it holds a login';
    if (this.allowInside) return null;
    if (!PORTS.has(url.port)) return `port ${url.port} is not asked`;
    const host = url.hostname.replace(/^\[|\]$/g, '');
    return isIP(host) !== 0 && !isPublicAddress(host) ? 'it is an address of an inner network' : null;
  }

  private checkedLookup(): LookupFunction {
    return (hostname, { all }, done) => {
      this.resolve(hostname).then(
        (addresses) => {
          const [first] = addresses;
          if (!first) done(new Error('the name has no address'), '');
          else if (!this.allowInside && !addresses.every(({ address }) => isPublicAddress(address)))
            done(new InsideAddress('the name leads into an inner network'), '');
          else if (all) done(null, addresses);
          else done(null, first.address, first.family);
        },
        (error: NodeJS.ErrnoException) => done(error, ''),
      );
    };
  }
}

async function bytesOf(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer | null> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    if (size > maxBytes) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

class InsideAddress extends Error {}

function outcomeOf(error: unknown, signal: AbortSignal): FetchOutcome {
  return error instanceof InsideAddress
    ? { kind: 'refused', reason: error.message }
    : { kind: 'failed', reason: signal.aborted ? 'no answer within 5 s' : reasonOf(error) };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
