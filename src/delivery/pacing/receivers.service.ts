import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { QueueMoves } from './queue-moves.queries.js';
import { receiverOf, takenBy } from '../message/recipient-group.js';

/** Of so many domains it is remembered whose they are, for so long: an answer of the DNS may have come meanwhile. */
const MOST_REMEMBERED = 50_000;
const REMEMBERED_MS = 300_000;

/** Whose servers take the mail of a domain among all others, by what has been looked up. */
@Injectable()
export class Receivers {
  readonly #known = new Map<string, string>();
  #sinceMs = performance.now();

  constructor(
    private readonly dataSource: DataSource,
    private readonly moves: QueueMoves,
  ) {}

  /** Asks the database about those that are not known yet. By primary key. */
  async learn(domains: readonly string[]): Promise<void> {
    if (performance.now() - this.#sinceMs > REMEMBERED_MS || this.#known.size > MOST_REMEMBERED) {
      this.#known.clear();
      this.#sinceMs = performance.now();
    }
    const unknown = domains.filter((domain) => !this.#known.has(domain));
    if (unknown.length === 0) return;
    const rows: { domain: string; mxHost: string | null }[] = await this.dataSource.query(
      `select u.domain, d.mx_host as "mxHost" from unnest($1::text[]) as u (domain) left join mail_domain d on d.domain = u.domain`,
      [unknown],
    );
    for (const { domain, mxHost } of rows) this.#known.set(domain, receiverOf(domain, mxHost));
  }

  /** As it was learned, else by the domain's own name. */
  of(domain: string): string {
    return this.#known.get(domain) ?? receiverOf(domain, null);
  }

  /** Puts what waits for the receiver among all others into queues of its own. Reads all of `mail_domain`, once for each storm. */
  async splitOff(receiver: string): Promise<void> {
    const rows: { domain: string }[] = await this.dataSource.query(
      `select domain from mail_domain where group_key = 'other' and ${takenBy('coalesce(mx_host, domain)', '$1')}`,
      [receiver],
    );
    const domains = [receiver, ...rows.map(({ domain }) => domain)];
    await this.moves.move(new Map(domains.map((domain) => [domain, `other|${receiver}`])));
  }
}
