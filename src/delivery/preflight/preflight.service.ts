import { domainOf } from '../../values/email-address.js';
import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { SafeFetch, type Resolve } from '../../infra/safe-fetch.js';
import { DomainError } from '../../values/domain-error.js';
import { dkimDomain } from '../signing/dkim-keys.js';
import { DomainCheckService } from '../domains/domain-check.service.js';
import type { DnsResolver } from '../../infra/dns.js';
import { Remembered } from '../../infra/remembered.js';
import { foreignTags, hintOf } from '../mails/foreign-tags.js';
import type { MailTemplate } from '../mails/mjml.templates.js';
import type { Sender } from '../message/message.js';
import { funnelVariables, unknownVariables, type MailKind } from '../mails/template-variables.js';
import { TemplatesService } from '../mails/templates.service.js';
import type { MailPlace } from '../mails/written-mail.js';
import { AudienceQueries, EVERYBODY, ownField, type Lacking, type Readers } from './audience.queries.js';
import { outsideNotes, supportNotes } from './client-support.js';
import { Drafts, isMarketing, type Draft } from './drafts.service.js';
import { originOf, probeLinks } from './links.probe.js';
import {
  linksOf,
  literally,
  mailFindings,
  type LinkFinding,
  type Located,
  type PreflightFinding,
} from './mail-checks.js';
import { sampleData, SAMPLE_READER } from '../mails/sample-data.js';
import {
  emptyPlaces,
  isPrinted,
  kindOf,
  lineOfVariable,
  variablesOf,
  without,
} from './variables.templates.js';

export interface MailToCheck {
  /** Path below `templates/` without its ending. */
  template: string;
  /** Where templates lie; the folder `templates` when left out. */
  folder?: string | undefined;
  /** In place of the one in its file. */
  subject?: string | null;
  sender: Sender;
  funnelTitle: string;
  /** What it is for; read from what it prints when left out. */
  kind?: MailKind | undefined;
  /** What mails of this kind get in reality; a stand-in when left out. */
  data?: Record<string, unknown> | undefined;
  /** Who would get it; every active subscriber when left out. */
  readers?: Readers | undefined;
}

export interface CheckOptions {
  /** How names in links are looked up. */
  resolve?: Resolve;
  /** Ask only pages of our own whether they answer: what others run is no reason to wait. */
  ownLinksOnly?: boolean;
  /** Links made of what readers have are left to `AudienceValues`, which knows what they have. */
  valuesTried?: boolean;
}

export interface PreflightReport {
  template: string;
  kind: MailKind | null;
  /** False when something must be put right before the first mail. */
  ok: boolean;
  findings: PreflightFinding[];
}

/** A start is often pressed again after a look at the report; a record that was just mended is to be seen soon. */
const SENDER_REMEMBERED_MS = 60_000;

/** What is wrong with a mail, found before the first one is sent. Changes nothing and sends nothing. */
@Injectable()
export class PreflightService {
  readonly #senders = new Map<string, Remembered<PreflightFinding[]>>();

  constructor(
    private readonly audience: AudienceQueries,
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
  async check(mail: MailToCheck, options: CheckOptions = {}): Promise<PreflightReport> {
    try {
      return await this.checkCompiled(
        await this.templates.compile(mail.template, mail.subject, mail.folder),
        mail,
        options,
      );
    } catch (error) {
      if (!(error instanceof DomainError) || !error.code.startsWith('TEMPLATE_')) throw error;
      const {
        file = `templates/${mail.template}.mjml`,
        line,
        ...facts
      } = error.facts as MailPlace & { reason?: string };
      const place = facts.mail ? { mail: facts.mail } : { file, ...(line === undefined ? {} : { line }) };
      const message = facts.reason ?? error.message;
      return report(mail.template, null, [{ check: 'template', level: 'fail', message, ...place }]);
    }
  }

  async checkCompiled(
    compiled: MailTemplate & { source: string },
    mail: MailToCheck,
    options: CheckOptions = {},
  ): Promise<PreflightReport> {
    const { source } = compiled;
    const kind = mail.kind ?? kindOf(`${source}${compiled.html}`);
    const names = variablesOf(`${compiled.subject}\n${compiled.html}\n${compiled.text}`);
    const data = mail.data ?? sampleData(kind, this.config.baseUrl, this.clock.now(), names);
    const draft = { template: compiled, kind, sender: mail.sender, funnelTitle: mail.funnelTitle, data };
    const rendered = await this.renderedFindings(draft, options);
    // A mail that cannot be filled in would only fail, as slowly, in each of the checks.
    const broken = rendered.some(({ check }) => check === 'template');
    const variables = broken ? [] : await this.variableFindings(draft, mail.readers ?? EVERYBODY);
    const placed = [...variables, ...rendered].map(async ({ found, ...finding }) => {
      const line = found === undefined ? null : lineMatching(source, found);
      return { ...finding, ...(await this.templates.placeOf(mail, { source, line })) };
    });
    return report(mail.template, kind, await Promise.all(placed));
  }

  /**
   * D1 to D9 of the sender's domain, as far as they are not good; at most a minute old, and within ten seconds. With the
   * built-in mailbox there is nothing to ask. What the DNS did not say is `unknown`.
   */
  async checkSender(email: string, dns?: DnsResolver): Promise<PreflightFinding[]> {
    if (this.config.mailboxOn && dns === undefined) return [];
    const domain = dkimDomain(domainOf(email));
    if (dns !== undefined) return this.ofSender(domain, dns);
    const asked =
      this.#senders.get(domain) ?? new Remembered(async () => this.ofSender(domain), SENDER_REMEMBERED_MS);
    this.#senders.set(domain, asked);
    return asked.get();
  }

  private async ofSender(domain: string, dns?: DnsResolver): Promise<PreflightFinding[]> {
    const reports = await this.domains.check([domain], { quick: true, ...(dns ? { dns } : {}) });
    return reports
      .flatMap(({ findings }) => findings)
      .filter(({ level }) => level !== 'ok')
      .map(({ id, name, level, detail }) => {
        const message = `${id} ${name}: ${detail}`;
        // A signature that no receiver can check is our own doing, whatever the relay adds.
        if (id !== 'D2' || level !== 'fail') return { check: 'dns', level, message };
        return this.config.dkimRecordCheck === 'warn'
          ? { check: 'dns', level: 'warn', message: `${message} (DKIM_RECORD_CHECK=warn: sent all the same)` }
          : { check: 'signature', level, message };
      });
  }

  /** Over everybody who would get the mail, not one sample: a field that one reader lacks is seen here. */
  private async variableFindings(
    { template: { subject, html, text }, kind, ...draft }: Draft,
    readers: Readers,
  ): Promise<Located[]> {
    const parts = [subject, html, text];
    const all = parts.join('\n');
    const unknown = unknownVariables(all, kind).map(({ name }) => name);
    const used = variablesOf(all);
    const values = this.values(draft, used);
    const findings: Located[] = unknown.map((name) => ({
      check: 'variables',
      level: 'fail',
      message: `it prints {{ ${name} }}, which ${kind} mails do not have${hintOf(name, kind)}`,
      found: name,
    }));
    for (const { tag, isSure, message } of foreignTags(html, kind))
      findings.push({
        ...({ check: 'variables', level: isSure ? 'fail' : 'warn' } as const),
        ...{ message, found: literally(tag) },
      });
    const emptyHere = emptyPlaces(parts, values);
    for (const name of emptyHere) {
      if (unknown.some((one) => one === name || one.startsWith(`${name}.`))) continue;
      // What a program gives with each mail is looked at with each.
      if (kind === 'api' && !isOwn(name)) continue;
      const message = `it prints {{ ${name} }}, which is empty here for everybody`;
      findings.push({ check: 'variables', level: 'fail', message, found: name });
    }
    for (const name of used) {
      if (unknown.includes(name) || emptyHere.has(name) || !isPrinted(parts, values, name)) continue;
      if (!emptyPlaces(parts, without(values, name)).has(name)) continue;
      const lacking = await this.audience.lacking(name, readers);
      if (lacking !== null && lacking.empty > 0) findings.push(lackingFinding(name, lacking));
    }
    return findings;
  }

  /** What a reader who lacks nothing gets. `used`: the template's variables, among them fields of the owner's own. */
  private values(
    { data, sender, funnelTitle }: Omit<Draft, 'template' | 'kind'>,
    used: readonly string[],
  ): Record<string, unknown> {
    const { baseUrl } = this.config;
    const offer =
      typeof data.offer === 'object' ? { offer: { url: `${baseUrl}/offer/x`, ...data.offer } } : {};
    return {
      ...{ ...data, ...offer, sender, baseUrl },
      // Asked for by the filters for money and times, which do without.
      locale: 'en',
      subscriber: {
        ...{ email: SAMPLE_READER.email, name: SAMPLE_READER.name, firstName: 'Grace' },
        fields: Object.fromEntries(
          used.map(ownField).flatMap((name) => (name === null ? [] : [[name, 'x']])),
        ),
      },
      funnel: funnelVariables(funnelTitle),
      unsubscribeUrl: `${baseUrl}/u/x`,
      preferencesUrl: `${baseUrl}/preferences/x`,
    };
  }

  private async renderedFindings(draft: Draft, options: CheckOptions): Promise<Located[]> {
    const marketing = isMarketing(draft.kind);
    try {
      const [tracked, untracked] = [
        await this.drafts.render(draft, SAMPLE_READER, true),
        await this.drafts.render(draft, SAMPLE_READER, false),
      ];
      const { name: senderName, postalAddress } = draft.sender;
      const ownOrigin = new URL(this.config.baseUrl).origin;
      const links = linksOf(untracked.html, ownOrigin, untracked.leftOut);
      return [
        ...mailFindings({ ...tracked, senderName, postalAddress, marketing }),
        ...[
          ...supportNotes(draft.template.html),
          ...outsideNotes(draft.template.outside ?? [], draft.template.html),
        ].map(({ level, message, found }) => ({
          ...({ check: 'clients', level, message } as const),
          found,
        })),
        ...(options.valuesTried === true ? await this.sharedOf(links.findings, draft) : links.findings).map(
          locatedLink,
        ),
        ...(await this.askLinks(links.urls, ownOrigin, options)),
      ];
    } catch (error) {
      if (!(error instanceof DomainError)) return [brokenFinding(error)];
      const check = /unsubscribe/.test(error.message)
        ? 'unsubscribe'
        : /postal/.test(error.message)
          ? 'sender'
          : 'text';
      return [{ check, level: 'fail', message: error.message }];
    }
  }

  /** Those of the links that are bad whatever fields a reader has. */
  private async sharedOf(findings: readonly LinkFinding[], draft: Draft): Promise<LinkFinding[]> {
    if (findings.length === 0) return [];
    const { subject, html, text } = draft.template;
    const names = variablesOf(`${subject}\n${html}\n${text}`).map(ownField);
    const fields = Object.fromEntries(names.flatMap((name) => (name === null ? [] : [[name, 'x']])));
    try {
      const other = await this.drafts.render(draft, { ...SAMPLE_READER, fields }, false);
      const again = linksOf(other.html, new URL(this.config.baseUrl).origin, other.leftOut).findings;
      return findings.filter(({ message }) => again.some((one) => one.message === message));
    } catch {
      // No value to try it with: what is said without is all there is.
      return [...findings];
    }
  }

  private async askLinks(
    urls: readonly string[],
    ownOrigin: string,
    { resolve, ownLinksOnly = false }: CheckOptions,
  ): Promise<PreflightFinding[]> {
    const fetch = new SafeFetch(ownOrigin, resolve);
    const asked = ownLinksOnly ? urls.filter((url) => originOf(url) === ownOrigin) : urls;
    try {
      return await probeLinks(asked, fetch, ownOrigin);
    } finally {
      await fetch.close();
    }
  }
}

/** Filling in failed: an error of Liquid, one of its limits, or the stack's end. Names the tag where there is one. */
function brokenFinding(error: unknown): Located {
  const { message, token } = error as Error & { token?: { getText?: () => string } };
  // Liquid counts lines of the compiled mail, which nobody has written.
  const reason = message.split('\n')[0]?.replace(/, line:\d+, col:\d+/, '') ?? '';
  const tag = token?.getText?.();
  return {
    ...({ check: 'template', level: 'fail', message: `it cannot be filled in: ${reason}` } as const),
    ...(tag === undefined ? {} : { found: tag }),
  };
}

/** Whether it is ours to fill in, in a mail that a program asks for. */
function isOwn(name: string): boolean {
  return ['subscriber', 'sender', 'funnel', 'baseUrl'].includes(name.split('.')[0] ?? '');
}

/** A field of the owner's own that nobody has is a name that was mistyped; any other may be left out by some. */
function lackingFinding(name: string, { total, empty, words, examples }: Lacking): Located {
  const nobody = ownField(name) !== null && empty === total;
  const message = nobody
    ? `it prints {{ ${name} }}, a field that none of ${total} ${words} has`
    : `${empty} of ${total} ${words} would see an empty place for {{ ${name} }} (such as ${examples.join(', ')}); give it a default`;
  return { check: 'audience', level: nobody ? 'fail' : 'warn', message, subscribers: examples, found: name };
}

function locatedLink({ times, found, message, ...finding }: LinkFinding): Located {
  return {
    ...finding,
    message: times > 1 ? `${message} (${times} times)` : message,
    ...(found !== undefined && { found: literally(found) }),
  };
}

function lineMatching(source: string, found: string | RegExp): number | null {
  if (typeof found === 'string') return lineOfVariable(source, found);
  const at = found.exec(source)?.index;
  return at === undefined ? null : source.slice(0, at).split('\n').length;
}

function report(template: string, kind: MailKind | null, findings: PreflightFinding[]): PreflightReport {
  return { template, kind, ok: findings.every(({ level }) => level !== 'fail'), findings };
}
