import { generateKeyPair } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { DomainError } from '../../values/domain-error.js';
import {
  alignedDomains,
  datedSelector,
  dkimDomain,
  dkimSelector,
  publicHalf,
  readDkimKey,
  signingKeys,
} from './dkim-keys.js';
import { dkimRecord, dkimRecordName, type DkimKey } from './dkim.js';

const RSA_BITS = 2048;
const ENDING = '.pem';
/** Permission bits of the group and of everybody. */
const OTHERS = 0o077;
/** In place of a domain, where it cannot be told whose key it is. */
export const EVERY_DOMAIN = 'every domain';

/** A key that is configured and no good. Mail of the domain must wait: it would leave unsigned. */
export interface KeyFault {
  domain: string;
  /** Names the file. */
  reason: string;
}

export interface DkimDnsRecord {
  name: string;
  type: 'TXT';
  value: string;
  /** Where the private half lies. */
  path: string;
}

/** The private keys below `DATA_DIR/dkim/<domain>/<selector>.pem`, read once at the start. */
@Injectable()
export class DkimKeys implements OnModuleInit {
  readonly #byDomain = new Map<string, readonly DkimKey[]>();
  readonly #bySender = new Map<string, readonly DkimKey[]>();
  readonly #exposed: string[] = [];
  readonly #faults = new Map<string, string>();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** A key that cannot sign or be read stops the mail it would sign, and not the pages that mails on the way lead to. */
  async onModuleInit(): Promise<void> {
    const folders = await this.unlessFaulty(EVERY_DOMAIN, foldersIn(this.folder()));
    for (const name of folders ?? []) await this.readDomain(name);
  }

  /**
   * Of the keys that would sign mail from this domain; null when all of them are good. Behind a good key of its own, one of
   * a domain above is not asked for.
   */
  fault(senderDomain: string): KeyFault | null {
    if (this.#faults.size === 0) return null;
    const nearest = alignedDomains(senderDomain).find(
      (one) => this.#faults.has(one) || this.#byDomain.has(one),
    );
    const domain = nearest !== undefined && this.#faults.has(nearest) ? nearest : EVERY_DOMAIN;
    return this.faults().find((one) => one.domain === domain) ?? null;
  }

  faults(): KeyFault[] {
    return [...this.#faults].map(([domain, reason]) => ({ domain, reason }));
  }

  /** The domains there is a key for, good or not, A-labels in lower case. */
  domains(): string[] {
    const faulty = [...this.#faults.keys()].filter((domain) => domain !== EVERY_DOMAIN);
    return [...new Set([...this.#byDomain.keys(), ...faulty])];
  }

  /** Key files that other accounts of this machine may read or write: whoever has one signs as the owner does. */
  exposed(): readonly string[] {
    return this.#exposed;
  }

  /** The keys that sign mail from this domain: its own, else those of a domain above it that aligns; none at all: []. */
  signing(senderDomain: string): readonly DkimKey[] {
    const known = this.#bySender.get(senderDomain);
    if (known) return known;
    const domain = alignedDomains(senderDomain).find((one) => this.#byDomain.has(one)) ?? '';
    const keys = this.#byDomain.get(domain) ?? [];
    this.#bySender.set(senderDomain, keys);
    return keys;
  }

  /**
   * Makes a key and returns the record to publish. The running application signs with it after its next start, so
   * publish first. Throws `DKIM_KEY_EXISTS` rather than overwrite one: mails on the way need it to stay.
   */
  async create(
    domain: string,
    { selector, kind = 'rsa' }: { selector?: string | undefined; kind?: 'rsa' | 'ed25519' } = {},
  ): Promise<DkimDnsRecord> {
    const at = {
      domain: dkimDomain(domain),
      selector: dkimSelector(selector ?? datedSelector(this.clock.now(), kind)),
    };
    const privateKey =
      kind === 'rsa'
        ? (await promisify(generateKeyPair)('rsa', { modulusLength: RSA_BITS })).privateKey
        : (await promisify(generateKeyPair)('ed25519')).privateKey;
    const folder = join(this.folder(), at.domain);
    const path = join(folder, at.selector + ENDING);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    await writeFile(path, pem, { mode: 0o600, flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw cause;
      throw new DomainError(
        'DKIM_KEY_EXISTS',
        `${path} is there already; name another with --selector`,
        { path },
        { cause },
      );
    });
    return {
      name: dkimRecordName(at),
      type: 'TXT',
      value: dkimRecord(publicHalf({ privateKey })),
      path,
    };
  }

  private folder(): string {
    return join(this.config.dataDir, 'dkim');
  }

  private async readDomain(name: string): Promise<void> {
    // Which mail a folder of another name was to sign, nobody can say.
    const domain = await this.unlessFaulty(EVERY_DOMAIN, dkimDomainOf(name));
    if (domain === null) return;
    const reading = this.read(domain, join(this.folder(), name));
    const keys = await this.unlessFaulty(
      domain,
      reading.then((all) => signingKeys(domain, all)),
    );
    if (keys !== null && keys.length > 0) this.#byDomain.set(domain, keys);
  }

  private async unlessFaulty<T>(domain: string, reading: Promise<T>): Promise<T | null> {
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      this.#faults.set(domain, error.message);
      return null;
    }
  }

  private async read(domain: string, folder: string): Promise<DkimKey[]> {
    const files = (await readable(folder, readdir(folder))).filter((file) => file.endsWith(ENDING));
    return Promise.all(
      files.map(async (file) => {
        const path = join(folder, file);
        const selector = dkimSelector(file.slice(0, -ENDING.length));
        const privateKey = readDkimKey(path, await readable(path, readFile(path, 'utf8')));
        if (((await readable(path, stat(path))).mode & OTHERS) !== 0) this.#exposed.push(path);
        return { domain, selector, privateKey };
      }),
    );
  }
}

/** A folder of keys that cannot be read is not the same as none: mail would leave unsigned. */
async function readable<T>(path: string, reading: Promise<T>): Promise<T> {
  return reading.catch((cause: NodeJS.ErrnoException) => {
    throw new DomainError('DKIM_KEY_INVALID', `${path}: cannot be read (${cause.code})`, { path }, { cause });
  });
}

async function dkimDomainOf(folder: string): Promise<string> {
  return dkimDomain(folder);
}

async function foldersIn(path: string): Promise<string[]> {
  const reading = readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const entries = await readable(path, reading);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
