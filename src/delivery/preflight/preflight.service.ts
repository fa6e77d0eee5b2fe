import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { SafeFetch, type Resolve } from '../../infra/safe-fetch.js';
import { DomainError } from '../../values/domain-error.js';
import { dkimDomain } from '../dkim-keys.js';
import { DomainCheckService } from '../domains/domain-check.service.js';
import type { DnsResolver } from '../domains/dns.js';
import type { MailTemplate } from '../mjml.templates.js';
import type { Sender } from '../message.js';
import { unknownVariables, type MailKind } from '../template-variables.js';
import { TemplatesService } from '../templates.service.js';
import { supportNotes } from './client-support.js';
import { Drafts, isMarketing, type Draft } from './drafts.service.js';
import { probeLinks } from './link-probe.js';
import { linksOf, mailFindings, type PreflightFinding } from './mail-checks.js';
import { sampleData } from './sample-data.js';
import { AUDIENCE_FIELDS, emptyPlaces, kindOf, lineOfVariable, variablesOf, without } from './variables.js';

export interface MailToCheck {
  /** Path below `templates/` without its ending. */
  template: string;
  sender: Sender;
  funnelTitle: string;
  /** What it is for; read from what it prints when left out. */
  kind?: MailKind | undefined;
  /** What mails of this kind get in reality; a stand-in when left out. */
  data?: Record<string, unknown> | undefined;
}

export interface PreflightReport {
  template: string;
  kind: MailKind | null;
  /** False when something must be put right before the first mail. */
  ok: boolean;
  findings: PreflightFinding[];
}

const READER = { email: 'reader@example.com', name: 'Grace Hopper' };

/** What is wrong with a mail, found before the first one is sent. Changes nothing and sends nothing. */
@Injectable()
export class PreflightService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly templates: TemplatesService,
    private readonly drafts: Drafts,
    private readonly domains: DomainCheckService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** A mail of the templates folder with the sender of a funnel, and what the DNS says of that sender. */
  async checkTemplate({
    template,
    funnel,
    kind,
  }: {
    template: string;
    funnel?: string | undefined;
    kind?: MailKind | undefined;
  }): Promise<PreflightReport> {
    const from = await this.drafts.senderOf(funnel);
    const [mail, sender] = await Promise.all([
      this.check({ template, kind, ...from }),
      this.checkSender(from.sender.email),
    ]);
    return report(template, mail.kind, [...mail.findings, ...sender]);
  }

  /** Everything but the DNS of the sender. A template that cannot be compiled gives that one finding, with its line. */
  async check(mail: MailToCheck): Promise<PreflightReport> {
    try {
      return await this.checkCompiled(await this.templates.compile(mail.template), mail);
    } catch (error) {
      if (!(error instanceof DomainError) || !error.code.startsWith('TEMPLATE_')) throw error;
      const { file = `templates/${mail.template}.mjml`, line } = error.facts as {
        file?: string;
        line?: number;
      };
      const finding = { check: 'template', level: 'fail', message: error.message, file } as const;
      return report(mail.template, null, [line === undefined ? finding : { ...finding, line }]);
    }
  }

  /** `resolve`: how names in links are looked up. */
  async checkCompiled(
    compiled: MailTemplate & { source: string },
    mail: MailToCheck,
    { resolve }: { resolve?: Resolve } = {},
  ): Promise<PreflightReport> {
    const { source } = compiled;
    const kind = mail.kind ?? kindOf(`${source}${compiled.html}`);
    const data = mail.data ?? sampleData(kind, this.config.baseUrl, this.clock.now());
    const draft = { template: compiled, kind, sender: mail.sender, funnelTitle: mail.funnelTitle, data };
    const variables = await this.variableFindings(draft);
    const rendered = await this.renderedFindings(draft, resolve);
    const file = `templates/${mail.template}.mjml`;
    return report(
      mail.template,
      kind,
      [...variables, ...rendered].map(({ found, ...finding }) => {
        const line = found === undefined ? null : lineMatching(source, found);
        return { ...finding, file, ...(line === null ? {} : { line }) };
      }),
    );
  }

  /** D1 to D9 of the sender's domain, as far as they are not good. With the built-in mailbox there is nothing to ask. */
  async checkSender(email: string, dns?: DnsResolver): Promise<PreflightFinding[]> {
    if (this.config.mailboxOn && dns === undefined) return [];
    const domain = dkimDomain(email.slice(email.lastIndexOf('@') + 1));
    const reports = await this.domains.check([domain], dns ? { dns } : {});
    return reports
      .flatMap(({ findings }) => findings)
      .filter(({ level }) => level !== 'ok')
      .map(({ id, name, level, detail }) => ({ check: 'dns', level, message: `${id} ${name}: ${detail}` }));
  }

  /** Over everybody who would get the mail, not one sample: a field that one reader lacks is seen here. */
  private async variableFindings({
    template: { subject, html, text },
    kind,
    ...draft
  }: Draft): Promise<Located[]> {
    const parts = [subject, html, text];
    const all = parts.join('\n');
    const unknown = unknownVariables(all, kind).map(({ name }) => name);
    const values = this.values(draft);
    const findings: Located[] = unknown.map((name) => ({
      check: 'variables',
      level: 'fail',
      message: `it prints {{ ${name} }}, which ${kind} mails do not have`,
      found: name,
    }));
    for (const name of emptyPlaces(parts, values)) {
      if (unknown.some((one) => one === name || one.startsWith(`${name}.`))) continue;
      const message = `it prints {{ ${name} }}, which is empty here for everybody`;
      findings.push({ check: 'variables', level: 'fail', message, found: name });
    }
    const used = variablesOf(all);
    for (const [name, missing] of Object.entries(AUDIENCE_FIELDS)) {
      if (!used.includes(name) || !emptyPlaces(parts, without(values, name)).has(name)) continue;
      const { total, empty } = await this.audience(missing);
      const message = `${empty} of ${total} active subscribers would see an empty place for {{ ${name} }}; give it a default`;
      if (empty > 0) findings.push({ check: 'audience', level: 'warn', message, found: name });
    }
    return findings;
  }

  /** One pass over the active subscribers; `missing` is one of our own conditions. */
  private async audience(missing: string): Promise<{ total: number; empty: number }> {
    const rows: { total: number; empty: number }[] = await this.dataSource.query(
      `select count(*)::float8 as total, count(*) filter (where ${missing})::float8 as empty from subscriber where status = 'active'`,
    );
    return rows[0] ?? { total: 0, empty: 0 };
  }

  private values({ data, sender, funnelTitle }: Omit<Draft, 'template' | 'kind'>): Record<string, unknown> {
    const { baseUrl } = this.config;
    const offer =
      typeof data.offer === 'object' ? { offer: { url: `${baseUrl}/offer/x`, ...data.offer } } : {};
    return {
      ...{ ...data, ...offer, sender, baseUrl },
      // Asked for by the filters for money and times, which do without.
      locale: 'en',
      subscriber: { ...READER, firstName: 'Grace' },
      funnel: { title: funnelTitle },
      unsubscribeUrl: `${baseUrl}/u/x`,
      preferencesUrl: `${baseUrl}/preferences/x`,
    };
  }

  private async renderedFindings(draft: Draft, resolve: Resolve | undefined): Promise<Located[]> {
    const marketing = isMarketing(draft.kind);
    try {
      const [tracked, untracked] = [
        await this.drafts.render(draft, READER, true),
        await this.drafts.render(draft, READER, false),
      ];
      const { postalAddress } = draft.sender;
      const ownOrigin = new URL(this.config.baseUrl).origin;
      const links = linksOf(untracked.html, ownOrigin);
      return [
        ...mailFindings({ ...tracked, postalAddress, marketing }),
        ...supportNotes(draft.template.html).map(({ level, message, found }) => ({
          ...({ check: 'clients', level, message } as const),
          found,
        })),
        ...links.findings,
        ...(await this.askLinks(links.urls, ownOrigin, resolve)),
      ];
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const check = /unsubscribe/.test(error.message)
        ? 'unsubscribe'
        : /postal/.test(error.message)
          ? 'sender'
          : 'text';
      return [{ check, level: 'fail', message: error.message }];
    }
  }

  private async askLinks(
    urls: readonly string[],
    ownOrigin: string,
    resolve: Resolve | undefined,
  ): Promise<PreflightFinding[]> {
    const fetch = new SafeFetch(ownOrigin, resolve);
    try {
      return await probeLinks(urls, fetch, ownOrigin);
    } finally {
      await fetch.close();
    }
  }
}

/** A finding with what to look for in the source. */
type Located = PreflightFinding & { found?: string | RegExp };

function lineMatching(source: string, found: string | RegExp): number | null {
  if (typeof found === 'string') return lineOfVariable(source, found);
  const at = found.exec(source)?.index;
  return at === undefined ? null : source.slice(0, at).split('\n').length;
}

function report(template: string, kind: MailKind | null, findings: PreflightFinding[]): PreflightReport {
  return { template, kind, ok: findings.every(({ level }) => level !== 'fail'), findings };
}
