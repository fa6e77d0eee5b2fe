import { setTimeout as delay } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { locationOf } from './click-target.js';

/** Some 20 MB; the oldest make way, and are read again when somebody presses one. */
const MOST_LINKS = 50_000;
const REFRESH_MS = 1_000;
/** Rows of concurrent transactions may appear below the highest id. */
const OVERLAP_IDS = 100;
const READ_WITHIN_MS = 1_500;

/**
 * Where links lead, in memory, so that a click costs no query and works while the database is away: all links are read
 * at the start and new ones every second, long before the mail that holds them is read. A link never changes.
 */
@Injectable()
export class LinksService implements BeforeApplicationShutdown {
  /** By id; null for an address nobody may be sent to. */
  readonly #targets = new Map<string, string | null>();
  #highest = 0n;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | null = null;

  constructor(private readonly dataSource: DataSource) {}

  /** Called once, by a process that serves requests. */
  async start(): Promise<void> {
    await this.refresh();
    this.#timer = setInterval(() => void this.refresh(), REFRESH_MS);
    this.#timer.unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    await this.#reading;
  }

  /** The value of the Location header; null for a link that does not exist or is unsafe, undefined when not in memory. */
  remembered(linkId: string): string | null | undefined {
    return this.#targets.get(linkId);
  }

  /** As `remembered`, from the database. Rejects when that does not answer in time. */
  async read(linkId: string): Promise<string | null> {
    const giveUp = new AbortController();
    const late = delay(READ_WITHIN_MS, null, { signal: giveUp.signal, ref: false });
    late.catch(() => undefined);
    const query: Promise<LinkRow[]> = this.dataSource.query(
      'select id, url_template as url from link where id = $1',
      [linkId],
    );
    query.catch(() => undefined);
    try {
      const rows = await Promise.race([query, late]);
      if (rows === null) throw new Error(`no answer within ${READ_WITHIN_MS} ms`);
      for (const row of rows) this.remember(row);
      return this.#targets.get(linkId) ?? null;
    } finally {
      giveUp.abort();
    }
  }

  /** Reads what is new. Never rejects: without it a click reads its link by itself. */
  async refresh(): Promise<void> {
    this.#reading ??= this.readNew().finally(() => {
      this.#reading = null;
    });
    await this.#reading;
  }

  private async readNew(): Promise<void> {
    try {
      const above = this.#highest - BigInt(OVERLAP_IDS);
      const rows: LinkRow[] = await this.dataSource.query(
        'select id, url_template as url from link where id > $1 order by id desc limit $2',
        [String(above), MOST_LINKS],
      );
      for (const row of rows.toReversed()) this.remember(row);
    } catch {
      // The database is away; what is in memory has to do.
    }
  }

  private remember({ id, url }: LinkRow): void {
    if (BigInt(id) > this.#highest) this.#highest = BigInt(id);
    if (this.#targets.has(id)) return;
    this.#targets.set(id, locationOf(url));
    if (this.#targets.size <= MOST_LINKS) return;
    for (const oldest of this.#targets.keys()) {
      this.#targets.delete(oldest);
      break;
    }
  }
}

interface LinkRow {
  id: string;
  url: string;
}
