import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { PreflightFinding } from '../delivery/preflight/mail-checks.js';
import {
  PreflightService,
  type CheckOptions,
  type PreflightReport,
} from '../delivery/preflight/preflight.service.js';
import { TemplatesService } from '../delivery/templates.service.js';
import { DomainError } from '../values/domain-error.js';
import { topicOf, type Broadcast } from './broadcast.js';
import { BroadcastsQueries } from './broadcasts.queries.js';

/**
 * A failure in one of these would reach every reader. Dead links of others and a mail that Gmail cuts are for the owner
 * to judge: they stand in the report and stop nothing.
 */
const STOPS: ReadonlySet<PreflightFinding['check']> = new Set([
  'template',
  'variables',
  'audience',
  'text',
  'sender',
  'unsubscribe',
  'clients',
]);

type Content = Pick<Broadcast, 'template' | 'sender' | 'audience' | 'topic'>;

/** What a broadcast is about to say, looked at before the first of its mails. */
@Injectable()
export class BroadcastPreflight {
  /** A button that is pressed many times at once is looked into once. */
  readonly #underWay = new Map<string, Promise<PreflightReport>>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly templates: TemplatesService,
    private readonly preflight: PreflightService,
    private readonly queries: BroadcastsQueries,
  ) {}

  /** Stores the words as they are now. Throws `TEMPLATE_NOT_FOUND` or `TEMPLATE_INVALID`. */
  async publish(manager: EntityManager, template: string): Promise<string> {
    const { html } = await this.templates.compile(template);
    if (!/\{\{-?\s*unsubscribeUrl\b/.test(html)) {
      const message = `templates/${template}.mjml has no link to unsubscribe: write {{ unsubscribeUrl }}, or include layouts/mail-foot-marketing.mjml`;
      throw new DomainError('TEMPLATE_INVALID', message, { field: 'template' });
    }
    return this.templates.publish(manager, template);
  }

  /** Its mail as each of its readers would get it now, in one pass over them. */
  async report(content: Content, options: CheckOptions = {}): Promise<PreflightReport> {
    const titles: { title: string }[] = await this.dataSource.query(
      'select title from funnel where key = $1',
      [topicOf(content)],
    );
    const { template, sender, audience } = content;
    const condition = await this.queries.conditionNow(audience, 'row');
    return this.preflight.check(
      {
        ...{ template, sender, kind: 'sequence', funnelTitle: titles[0]?.title ?? '' },
        // A broadcast has no data beyond the reader, the sender and the funnel.
        data: {},
        readers: { condition, words: 'readers', funnelKey: null },
      },
      options,
    );
  }

  /**
   * Throws `BROADCAST_PREFLIGHT_INVALID`, naming file and line, for a broadcast that would reach its readers broken. Asks
   * pages of our own whether they are there; what others run does not keep a broadcast waiting.
   */
  async pass({ template, sender, audience, topic }: Content): Promise<void> {
    const content = { template, sender, audience, topic };
    const key = JSON.stringify(content);
    const report = this.#underWay.get(key) ?? this.report(content, { ownLinksOnly: true });
    this.#underWay.set(key, report);
    const { findings } = await report.finally(() => this.#underWay.delete(key));
    const stopping = findings.filter(
      ({ check, level }) => level === 'fail' && (check === 'links' || STOPS.has(check)),
    );
    const [first] = stopping;
    if (first === undefined) return;
    const more = stopping.length > 1 ? ` (and ${stopping.length - 1} more)` : '';
    throw new DomainError('BROADCAST_PREFLIGHT_INVALID', `${inWords(first)}${more}`, { findings: stopping });
  }
}

function inWords({ message, file, line }: PreflightFinding): string {
  if (file === undefined || message.includes(file)) return message;
  return `${file}${line === undefined ? '' : `:${line}`}: ${message}`;
}
