import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AudienceValues, type TriedMail } from '../delivery/preflight/audience-values.service.js';
import { dutyFault } from '../delivery/mails/duty-fault.templates.js';
import type { PreflightFinding } from '../delivery/preflight/mail-checks.js';
import {
  PreflightService,
  type CheckOptions,
  type PreflightReport,
} from '../delivery/preflight/preflight.service.js';
import { TemplatesService } from '../delivery/mails/templates.service.js';
import { placeInWords } from '../delivery/mails/written-mail.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { dataOf } from './broadcast-batch.js';
import { checkOffers } from './broadcast-offers.queries.js';
import { topicOf, type Broadcast } from './broadcast.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { armKey, sameArms, saysTheSame, wordsOf, type PublishedWords, type Words } from './split.js';

/**
 * A failure in one of these would reach every reader. Dead links of others and a mail that Gmail cuts are for the owner
 * to judge: they stand in the report and stop nothing. Nor does the rest of what the DNS says of the sender: a relay may
 * sign, and send with a return path of its own, so that mail passes although our records alone would not do.
 */
const STOPS: ReadonlySet<PreflightFinding['check']> = new Set([
  'template',
  'variables',
  'audience',
  'text',
  'sender',
  'unsubscribe',
  'clients',
  'signature',
]);

/** In these a mail fails whatever its readers have. */
const FOR_ALL: ReadonlySet<PreflightFinding['check']> = new Set(['template', 'unsubscribe', 'sender']);

/** For making the mail with the values of all readers; the owner waits for it. What is left is tried before the first mail. */
const VALUES_MS = 20_000;
const BEYOND = 'the others are tried before its first mail leaves';
/** More than anybody has readers. */
const ALL_VALUES = 10_000_000;

/** `offers`: as they were frozen when it began; null before. */
type Draft = Parameters<typeof wordsOf>[0] & { offers?: Broadcast['offers'] | undefined };
interface ArmReport {
  arm: number;
  report: PreflightReport;
}

type Content = Draft & Pick<Broadcast, 'sender' | 'audience' | 'topic'>;
type Frozen = Content & Pick<Broadcast, 'templateId' | 'armTemplateIds'>;

/** What a broadcast is about to say, looked at before the first of its mails. */
@Injectable()
export class BroadcastPreflight {
  /** A button that is pressed many times at once is looked into once. */
  readonly #underWay = new Map<string, Promise<PreflightReport>>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly templates: TemplatesService,
    private readonly preflight: PreflightService,
    private readonly values: AudienceValues,
    private readonly queries: BroadcastsQueries,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Stores the words as they are now, those of each arm where arms are tried. Throws `TEMPLATE_NOT_FOUND`,
   * `TEMPLATE_INVALID`, `BROADCAST_SPLIT_INVALID` for a test of two arms that are one mail, and `BROADCAST_OFFER_INVALID`.
   */
  async publish(manager: EntityManager, draft: Draft & Pick<Broadcast, 'sender'>): Promise<PublishedWords> {
    const words = wordsOf(draft);
    const same = sameArms(words);
    if (same !== null) {
      const message = `split.arms: arms ${same[0] + 1} and ${same[1] + 1} are the same mail; give one of them another subject, template, offer, hour or delay`;
      throw new DomainError('BROADCAST_SPLIT_INVALID', message, { field: 'split.arms' });
    }
    if (!draft.offers) await checkOffers(manager, draft);
    const { template, subject = null, split = null } = draft;
    const publishOne = async (one: Words): Promise<string> => this.publishOne(manager, one, draft.sender);
    const templateId = await publishOne({ template, subject });
    if (split === null) return { templateId, armTemplateIds: null };
    const armTemplateIds: string[] = [];
    for (const one of words) {
      const isBase = one.template === template && one.subject === subject;
      armTemplateIds.push(isBase ? templateId : await publishOne(one));
    }
    return { templateId, armTemplateIds };
  }

  private async publishOne(
    manager: EntityManager,
    { template, subject, offer }: Words,
    sender: Broadcast['sender'],
  ): Promise<string> {
    const compiled = await this.templates.compile(template, subject);
    if (!/\{\{-?\s*unsubscribeUrl\b/.test(compiled.html)) {
      const message = `templates/${template}.mjml has no link to unsubscribe: write {{ unsubscribeUrl }}, or include layouts/mail-foot-marketing.mjml`;
      throw new DomainError('TEMPLATE_INVALID', message, { field: 'template' });
    }
    const kind = offer === undefined ? 'sequence' : 'offer';
    const fault = dutyFault(compiled, { kind, sender, funnelTitle: '' });
    if (fault !== null)
      throw new DomainError('TEMPLATE_INVALID', `templates/${template}.mjml: ${fault}`, {
        field: 'template',
      });
    return this.templates.store(manager, template, compiled);
  }

  /** Its mail, or that of each arm, as each of its readers would get it now, and what the DNS says of the sender. */
  async report(content: Content, options: CheckOptions = {}): Promise<PreflightReport> {
    const asked = this.preflight.checkSender(content.sender.email);
    const [mail, sender] = await Promise.all([this.ofMail(content, options), asked]);
    const ok = mail.ok && sender.every(({ level }) => level !== 'fail');
    return { ...mail, ok, findings: [...mail.findings, ...sender] };
  }

  /**
   * Why none of its mails may leave, as the world sees its sender now, which may be days after the start was pressed; null
   * when nothing stops it. A DNS that gives no answer stops nothing.
   */
  async senderFault({ sender }: Pick<Content, 'sender'>): Promise<string | null> {
    const findings = await this.preflight.checkSender(sender.email);
    return findings.find((one) => one.level === 'fail' && STOPS.has(one.check))?.message ?? null;
  }

  /**
   * What breaks its mail, or that of an arm, with what its readers have now, days after the start perhaps: one value of each
   * kind is tried, and each of a variable that goes through a filter which may do anything. 200,000 readers with names of
   * their own took 4 seconds, where each of their names by itself took more than four minutes. `unknown` tells of what was
   * not tried by `untilMs`, which is on the clock of `performance.now`.
   */
  async valueFaults(
    content: Frozen,
    { untilMs, signal }: { untilMs: number; signal: AbortSignal },
  ): Promise<PreflightFinding[]> {
    const arms = await this.mailsOf(content);
    const found: PreflightFinding[] = [];
    for (const [nth, { arm, mail }] of arms.entries()) {
      const templateId = content.armTemplateIds?.[arm] ?? content.templateId;
      const left = (untilMs - performance.now()) / (arms.length - nth);
      const bounds = { untilMs: performance.now() + left, most: ALL_VALUES, signal };
      const faults = await this.values.faults({ ...mail, templateId }, bounds);
      found.push(...(arms.length === 1 ? faults : faults.map((fault) => ofArm(arm, fault))));
    }
    return found;
  }

  /** One pass over its readers for each arm. */
  private async ofMail(content: Content, options: CheckOptions): Promise<PreflightReport> {
    const reports: ArmReport[] = [];
    const arms = await this.mailsOf(content);
    for (const { arm, mail } of arms) {
      const report = await this.preflight.check(mail, { ...options, valuesTried: true });
      reports.push({ arm, report: await this.withValues(mail, report, VALUES_MS / arms.length) });
    }
    return together(reports);
  }

  /** The mail of each arm that says something of its own. */
  private async mailsOf(content: Content): Promise<{ arm: number; mail: TriedMail }[]> {
    const titles: { title: string }[] = await this.dataSource.query(
      'select title from funnel where key = $1',
      [topicOf(content)],
    );
    const condition = await this.queries.conditionNow(content.audience);
    const now = this.clock.now();
    const arms = wordsOf(content);
    const offers = content.offers ?? (await checkOffers(this.dataSource.manager, content));
    return arms.flatMap((words, arm) => {
      const { template, subject, offer } = words;
      // At another hour it is the same mail.
      if (saysTheSame(words, arms.slice(0, arm))) return [];
      const mail = {
        ...{ template, subject, sender: content.sender, funnelTitle: titles[0]?.title ?? '' },
        kind: offer === undefined ? ('sequence' as const) : ('offer' as const),
        // A broadcast has no data beyond the reader, the sender, the funnel and what it offers.
        data: dataOf({ offers }, arm, { promised: null, at: now }),
        readers: { condition, words: 'readers', funnelKey: null },
      };
      return [{ arm, mail }];
    });
  }

  /** Only of a mail that can be made at all: else each value would show the same fault. */
  private async withValues(
    mail: TriedMail,
    report: PreflightReport,
    forMs: number,
  ): Promise<PreflightReport> {
    if (report.findings.some(({ check, level }) => FOR_ALL.has(check) && level === 'fail')) return report;
    const found = await this.values.faults(mail, { untilMs: performance.now() + forMs, beyond: BEYOND });
    const ok = report.ok && found.every(({ level }) => level !== 'fail');
    return { ...report, ok, findings: [...report.findings, ...found] };
  }

  /**
   * Throws `BROADCAST_PREFLIGHT_INVALID`, naming file and line, for a broadcast that would reach its readers broken. Asks
   * pages of our own whether they are there; what others run does not keep a broadcast waiting.
   */
  async pass({ template, subject, offer, offers, split, sender, audience, topic }: Content): Promise<void> {
    const content = { template, subject, offer, offers, split, sender, audience, topic };
    const key = JSON.stringify(content);
    const report = this.#underWay.get(key) ?? this.report(content, { ownLinksOnly: true });
    this.#underWay.set(key, report);
    const { findings } = await report.finally(() => this.#underWay.delete(key));
    refuseFor(
      findings.filter(({ check, level }) => level === 'fail' && (check === 'links' || STOPS.has(check))),
    );
  }

  /** The same of words that were changed on the way, as they are stored, over what its readers have by now. */
  async passStored(content: Frozen): Promise<void> {
    const bounds = { untilMs: performance.now() + VALUES_MS, signal: new AbortController().signal };
    const found = await this.valueFaults(content, bounds);
    refuseFor(found.filter(({ level }) => level === 'fail'));
  }
}

function refuseFor(stopping: readonly PreflightFinding[]): void {
  const [first] = stopping;
  if (first === undefined) return;
  const more = stopping.length > 1 ? ` (and ${stopping.length - 1} more)` : '';
  throw new DomainError('BROADCAST_PREFLIGHT_INVALID', `${inWords(first)}${more}`, { findings: stopping });
}

/** As `arm B: ...`. */
function ofArm(arm: number, finding: PreflightFinding): PreflightFinding {
  return { ...finding, message: `arm ${armKey(arm).toUpperCase()}: ${finding.message}` };
}

/** With the place where it is known. */
export function inWords({ check, message, file, line, mail }: PreflightFinding): string {
  if (check === 'signature')
    return `${message}. If receivers see that record, and only the DNS of this machine does not, set DKIM_RECORD_CHECK=warn and start Wellspring anew`;
  if (mail) return `${placeInWords(mail)}: ${message}`;
  if (file === undefined || message.includes(file)) return message;
  return `${file}${line === undefined ? '' : `:${line}`}: ${message}`;
}

/** The findings of several arms say which one they are about. */
function together(reports: readonly ArmReport[]): PreflightReport {
  const first = reports[0]?.report;
  if (first === undefined) throw new Error('a broadcast has no mail');
  if (reports.length === 1) return first;
  const findings = reports.flatMap(({ arm, report }) => report.findings.map((one) => ofArm(arm, one)));
  return { ...first, ok: reports.every(({ report: { ok } }) => ok), findings };
}
