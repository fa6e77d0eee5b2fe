import { domainSql } from '../../values/email-address.js';
import { Resolver } from 'node:dns/promises';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../../infra/config.js';
import { QueueMoves } from './queue-moves.queries.js';
import { groupOfMx, recipientGroup, type RecipientGroup } from '../message/recipient-group.js';
import { putSetting } from '../../infra/database/settings.js';

/** Injection token of {@link MxResolver}. */
export const MX_RESOLVER = Symbol('MxResolver');

/** Looks up the mail servers of a domain; rejects when there is no answer, and with one of `NONE` when that is the answer. */
interface MxResolver {
  mx(domain: string): Promise<{ exchange: string; priority: number }[]>;
}

const LOOKUP_TIMEOUT_MS = 5_000;

/** Names that no mail goes to (RFC 2606, RFC 6761): the DNS is not asked for them. */
const RESERVED = /(^|\.)(example(\.(com|net|org))?|test|invalid|localhost|local)$/;

/** The resolver of the system. */
export class SystemMxResolver implements MxResolver {
  readonly #resolver = new Resolver({ timeout: LOOKUP_TIMEOUT_MS, tries: 1 });

  async mx(domain: string): Promise<{ exchange: string; priority: number }[]> {
    if (RESERVED.test(domain)) return [];
    return this.#resolver.resolveMx(domain);
  }
}

/** What the DNS answers of a domain that is not there, has no mail servers or cannot be asked for. All other errors are no answer. */
const NONE: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME']);
/** After so many without an answer, one behind the other, it is asked whether the DNS answers at all. */
const UNANSWERED_IN_ROW = 10;
/** Always there: who gets no answer about it gets none about any domain. */
const ALWAYS_THERE = 'gmail.com';

/** At the same time: one that gets no answer holds up only itself. */
const LOOKUPS_AT_ONCE = 32;
/** Found and written down together. */
const KEPT_AT_ONCE = 100;
/** Of a run of the job; what is left comes with the next one. At 50 ms each that is 70,000 domains. */
const LONGEST_RUN_MS = 110_000;
/** Subscribers read at once. */
const PAGE = 20_000;
/** Old answers asked anew in one run. */
const STALE_A_RUN = 5_000;
const CURSOR_KEY = 'sending.mx-cursor';

interface Found {
  domain: string;
  group: RecipientGroup;
  mxHost: string | null;
  /** Nothing was answered: it is asked anew in an hour, and not in a day. */
  unanswered?: boolean;
}

/** Finds out whose servers take the mail of a domain. The only writer of `mail_domain`. */
@Injectable()
export class MailDomainsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(MX_RESOLVER) private readonly resolver: MxResolver,
    private readonly queues: QueueMoves,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** False while the built-in mailbox takes all mails: then nobody is asked. */
  get asks(): boolean {
    return !this.config.mailboxOn;
  }

  /**
   * Looks up domains of subscribers that came since the last run, those of most subscribers first, and those whose answer is
   * a week old (a day, when there are no mail servers; an hour, when nothing was answered). A lookup that fails leaves what was
   * known, and a DNS that is out ends the run: the next one begins with the same domains. What is ready to go to a domain that
   * turns out to be hosted by one of the three goes by its queue from then on.
   */
  async resolveNew({ signal }: { signal: AbortSignal }): Promise<number> {
    if (!this.asks) return 0;
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(LONGEST_RUN_MS)]);
    const changed = new Map<string, RecipientGroup>();
    const done = await this.lookUpNew(changed, inTime);
    await this.queues.move(changed, { signal });
    return done;
  }

  /** What was found to be another's goes to `changed`. */
  private async lookUpNew(changed: Map<string, RecipientGroup>, signal: AbortSignal): Promise<number> {
    let done = 0;
    while (!signal.aborted) {
      const { domains, lastId, isLast } = await this.newDomains();
      const asked = await this.lookUpAll(domains, changed, signal);
      done += asked;
      if (asked < domains.length) return done;
      await this.moveCursor(lastId);
      if (isLast) break;
    }
    return done + (await this.lookUpAll(await this.staleDomains(STALE_A_RUN), changed, signal));
  }

  /** As many of these as are looked up before `signal` ends it, the first ones first; returns how many. */
  async resolve(domains: readonly string[], { signal }: { signal: AbortSignal }): Promise<number> {
    if (!this.asks) return 0;
    const changed = new Map<string, RecipientGroup>();
    const done = await this.lookUpAll(domains, changed, signal);
    await this.queues.move(changed, { signal });
    return done;
  }

  private async lookUpAll(
    domains: readonly string[],
    changed: Map<string, RecipientGroup>,
    signal: AbortSignal,
  ): Promise<number> {
    const left = domains.values();
    const found: Found[] = [];
    const unanswered: Found[] = [];
    let kept = 0;
    let inRow = 0;
    let isOut = false;
    const keep = async (some: readonly Found[]): Promise<void> => {
      for (const { domain, group } of await this.keep(some)) changed.set(domain, group);
      kept += some.length;
    };
    // All share the one iterator, so each domain is asked once.
    const askOn = async (): Promise<void> => {
      while (!signal.aborted && !isOut) {
        const { value: domain, done } = left.next();
        if (done === true) return;
        const one = await this.lookUp(domain);
        (one.unanswered ? unanswered : found).push(one);
        inRow = one.unanswered ? inRow + 1 : 0;
        if (inRow > 0 && inRow % UNANSWERED_IN_ROW === 0 && (await this.isOut())) isOut = true;
        if (found.length >= KEPT_AT_ONCE) await keep(found.splice(0));
      }
    };
    await Promise.all(Array.from({ length: LOOKUPS_AT_ONCE }, askOn));
    if (found.length > 0) await keep(found);
    if (inRow > 0 && (await this.isOut())) isOut = true;
    if (unanswered.length > 0 && !isOut) await keep(unanswered);
    return kept;
  }

  private async isOut(): Promise<boolean> {
    return (await this.answer(ALWAYS_THERE)) === null;
  }

  private async lookUp(domain: string): Promise<Found> {
    const byName = recipientGroup(domain);
    if (byName !== 'other') return { domain, group: byName, mxHost: domain };
    const answers = await this.answer(domain);
    if (answers === null) return { domain, group: 'other', mxHost: null, unanswered: true };
    const best = answers.toSorted((a, b) => a.priority - b.priority)[0]?.exchange.toLowerCase() ?? '';
    // A single dot is a null MX (RFC 7505): the domain takes no mail, which the relay will say as well.
    const mxHost = best.replace(/\.$/, '').slice(0, 253);
    return { domain, group: groupOfMx(mxHost), mxHost: mxHost === '' ? null : mxHost };
  }

  /** Null when nothing was answered. */
  private async answer(domain: string): Promise<{ exchange: string; priority: number }[] | null> {
    try {
      return await this.resolver.mx(domain);
    } catch (error) {
      return error instanceof Error && 'code' in error && NONE.has(error.code) ? [] : null;
    }
  }

  /** Returns those that mails were planned for as of all others, and that turn out to be one's of the three. */
  private async keep(found: readonly Found[]): Promise<Pick<Found, 'domain' | 'group'>[]> {
    const rows: Pick<Found, 'domain' | 'group'>[] = await this.dataSource.query(
      `with before as (select d.domain, d.group_key from mail_domain d where d.domain = any($2::text[])),
       kept as (insert into mail_domain (domain, group_key, mx_host, checked_at)
         select u.domain, u."group", u."mxHost",
           clock_timestamp() - case when u.unanswered then interval '23 hours' else interval '0' end
         from jsonb_to_recordset($1::jsonb) as u (domain text, "group" text, "mxHost" text, unanswered boolean) order by u.domain
         on conflict (domain) do update set checked_at = excluded.checked_at,
           group_key = case when excluded.mx_host is null then mail_domain.group_key else excluded.group_key end,
           mx_host = coalesce(excluded.mx_host, mail_domain.mx_host)
         returning domain, group_key)
       select k.domain, k.group_key as "group" from kept k left join before b on b.domain = k.domain
       where k.group_key <> 'other' and coalesce(b.group_key, 'other') <> k.group_key`,
      [JSON.stringify(found), found.map(({ domain }) => domain)],
    );
    return rows.filter(({ domain, group }) => group !== recipientGroup(domain));
  }

  /** Of the next page of subscribers, those of most of them first. Served by the primary key of `subscriber`. */
  private async newDomains(): Promise<{ domains: string[]; lastId: string; isLast: boolean }> {
    const rows: { domains: string[] | null; lastId: string; isLast: boolean }[] = await this.dataSource.query(
      `with since as (select coalesce((select (value->>'subscriberId')::bigint from setting where key = $1), 0) as id),
       page as materialized (select s.id, ${domainSql('s.email_key')} as domain from subscriber s, since
         where s.id > since.id order by s.id limit $2),
       unknown as (select p.domain, count(*) as people from page p
         where p.domain <> '' and not exists (select 1 from mail_domain d where d.domain = p.domain) group by p.domain)
       select (select array_agg(domain order by people desc, domain) from unknown) as domains,
         coalesce((select max(id) from page), (select id from since))::text as "lastId", (select count(*) < $2 from page) as "isLast"`,
      [CURSOR_KEY, PAGE],
    );
    return {
      domains: rows[0]?.domains ?? [],
      lastId: rows[0]?.lastId ?? '0',
      isLast: rows[0]?.isLast ?? true,
    };
  }

  private async staleDomains(limit: number): Promise<string[]> {
    const rows: { domain: string }[] = await this.dataSource.query(
      `select domain from mail_domain where checked_at < clock_timestamp() - case when mx_host is null then interval '1 day'
         else interval '7 days' end or checked_at > clock_timestamp() + interval '1 hour' order by checked_at limit $1`,
      [limit],
    );
    return rows.map(({ domain }) => domain);
  }

  private async moveCursor(subscriberId: string): Promise<void> {
    await putSetting(this.dataSource, CURSOR_KEY, { subscriberId });
  }
}
