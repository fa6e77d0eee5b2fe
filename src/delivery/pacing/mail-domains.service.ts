import { Resolver } from 'node:dns/promises';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../../infra/config.js';
import { groupOfMx, recipientGroup, type RecipientGroup } from './recipient-group.js';

/** Injection token of {@link MxResolver}. */
export const MX_RESOLVER = Symbol('MxResolver');

/** Looks up the mail servers of a domain; rejects when there is no answer. */
export interface MxResolver {
  mx(domain: string): Promise<{ exchange: string; priority: number }[]>;
}

const LOOKUP_TIMEOUT_MS = 5_000;

/** The resolver of the system. */
export class SystemMxResolver implements MxResolver {
  readonly #resolver = new Resolver({ timeout: LOOKUP_TIMEOUT_MS, tries: 1 });

  async mx(domain: string): Promise<{ exchange: string; priority: number }[]> {
    return this.#resolver.resolveMx(domain);
  }
}

/** In one run; what is left comes with the next one. */
const LOOKUPS_A_RUN = 200;
const LOOKUPS_AT_ONCE = 8;
const SCANNED_A_RUN = 20_000;
const CURSOR_KEY = 'sending.mx-cursor';

/** Finds out whose servers take the mail of a domain. The only writer of `mail_domain`. */
@Injectable()
export class MailDomainsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(MX_RESOLVER) private readonly resolver: MxResolver,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** For planning: what a lookup has found, else what the name tells. */
  async groupsOf(domains: readonly string[]): Promise<Map<string, RecipientGroup>> {
    const rows: { domain: string; group: RecipientGroup }[] = await this.dataSource.query(
      'select domain, group_key as "group" from mail_domain where domain = any($1)',
      [domains],
    );
    const found = new Map(rows.map(({ domain, group }) => [domain, group]));
    return new Map(domains.map((domain) => [domain, found.get(domain) ?? recipientGroup(domain)]));
  }

  /**
   * Looks up domains of subscribers that came since the last run, and those whose answer is a week old (a day, when
   * there was none). A lookup that fails leaves what was known. Nothing is asked while the built-in mailbox takes all.
   */
  async resolveNew({ signal }: { signal: AbortSignal }): Promise<number> {
    if (this.config.mailboxOn) return 0;
    const { domains, lastId } = await this.newDomains();
    const wanted = [...domains, ...(await this.staleDomains(LOOKUPS_A_RUN - domains.length))];
    let done = 0;
    while (done < wanted.length && !signal.aborted) {
      const batch = wanted.slice(done, done + LOOKUPS_AT_ONCE);
      await this.keep(await Promise.all(batch.map(async (domain) => this.lookUp(domain))));
      done += batch.length;
    }
    if (done >= domains.length) await this.moveCursor(lastId);
    return done;
  }

  private async lookUp(domain: string): Promise<{ domain: string; group: string; mxHost: string | null }> {
    const byName = recipientGroup(domain);
    if (byName !== 'other') return { domain, group: byName, mxHost: domain };
    try {
      const answers = await this.resolver.mx(domain);
      const best = answers.toSorted((a, b) => a.priority - b.priority)[0]?.exchange.toLowerCase() ?? '';
      // A single dot is a null MX (RFC 7505): the domain takes no mail, which the relay will say as well.
      const mxHost = best.replace(/\.$/, '').slice(0, 253);
      return { domain, group: groupOfMx(mxHost), mxHost: mxHost === '' ? null : mxHost };
    } catch {
      return { domain, group: 'other', mxHost: null };
    }
  }

  private async keep(found: { domain: string; group: string; mxHost: string | null }[]): Promise<void> {
    await this.dataSource.query(
      `insert into mail_domain (domain, group_key, mx_host, checked_at)
       select u.domain, u."group", u."mxHost", clock_timestamp()
       from jsonb_to_recordset($1::jsonb) as u (domain text, "group" text, "mxHost" text) order by u.domain
       on conflict (domain) do update set checked_at = excluded.checked_at,
         group_key = case when excluded.mx_host is null then mail_domain.group_key else excluded.group_key end,
         mx_host = coalesce(excluded.mx_host, mail_domain.mx_host)`,
      [JSON.stringify(found)],
    );
  }

  private async newDomains(): Promise<{ domains: string[]; lastId: string }> {
    const rows: { domains: string[] | null; lastId: string }[] = await this.dataSource.query(
      `with since as (select coalesce((select (value->>'subscriberId')::bigint from setting where key = $1), 0) as id),
       recent as (select s.id, split_part(s.email_key, '@', 2) as domain from subscriber s, since
         where s.id > since.id order by s.id limit $2),
       unknown as (select r.domain, min(r.id) as id from recent r
         where r.domain <> '' and not exists (select 1 from mail_domain d where d.domain = r.domain) group by r.domain),
       chosen as (select domain, id from unknown order by id limit $3)
       select (select array_agg(domain order by id) from chosen) as domains,
         (case when (select count(*) from unknown) > $3 then (select max(id) from chosen)
           else coalesce((select max(id) from recent), (select id from since)) end)::text as "lastId"`,
      [CURSOR_KEY, SCANNED_A_RUN, LOOKUPS_A_RUN],
    );
    return { domains: rows[0]?.domains ?? [], lastId: rows[0]?.lastId ?? '0' };
  }

  private async staleDomains(limit: number): Promise<string[]> {
    if (limit <= 0) return [];
    const rows: { domain: string }[] = await this.dataSource.query(
      `select domain from mail_domain where checked_at < clock_timestamp() - case when mx_host is null then interval '1 day'
         else interval '7 days' end order by checked_at limit $1`,
      [limit],
    );
    return rows.map(({ domain }) => domain);
  }

  private async moveCursor(subscriberId: string): Promise<void> {
    await this.dataSource.query(
      `insert into setting (key, value, updated_at) values ($1, $2, clock_timestamp())
       on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at`,
      [CURSOR_KEY, JSON.stringify({ subscriberId })],
    );
  }
}
