import { Inject, Injectable, Logger } from '@nestjs/common';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import type { HiddenDuty } from './hidden-duties.js';
import { isPersonal } from './mail-links.js';
import { TemplatesService } from './templates.service.js';
import { placeInWords } from './written-mail.js';

const PREFIX = 'flaw:';
/** There may be a million of them in a minute. */
const AGAIN_AFTER_MS = 60_000;
const AFTER_FAILURE_MS = 5_000;
const OVER_AFTER_MS = 2 * 86_400_000;

/** In place of the address in the template: it came with HTML of what a reader has. */
export const FROM_HTML = '| raw';

interface Flawed {
  templateId: string;
  subscriberId: string | null;
}

/** Mails that leave, but not as their owner would want them to. An alert that cannot be written stops none of them. */
@Injectable()
export class MailFlaws {
  readonly #logger = new Logger(MailFlaws.name);
  readonly #againAtMs = new Map<string, number>();

  constructor(
    private readonly templates: TemplatesService,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Of a version that ran before such a mail was refused. */
  async hidden({ templateId, subscriberId }: Flawed, { what, message }: HiddenDuty): Promise<void> {
    const variable = what === 'way out' ? 'unsubscribeUrl' : 'postalAddress';
    await this.tell(`${PREFIX}hidden ${what}:${templateId}`, { templateId, variable }, (place) => ({
      severity: 'warning',
      message: `${place}: ${message}. The mail goes out all the same, as it ran before this was refused; show it, and apply the funnel or start the broadcast again with it.`,
      facts: { templateId, subscriberId },
    }));
  }

  /** `links`: their addresses in the template, or `FROM_HTML`. */
  async linksLeftOut({ templateId, subscriberId }: Flawed, links: readonly string[]): Promise<void> {
    for (const link of links)
      await this.tell(`${PREFIX}link:${templateId}:${link}`, { templateId, variable: link }, (place) => ({
        severity: 'warning',
        message: `${place}: ${whatIsLeftOut(link, `subscriber ${subscriberId ?? 'unknown'}`)}`,
        facts: { templateId, subscriberId },
      }));
  }

  private async tell(
    key: string,
    { templateId, variable }: { templateId: string; variable: string },
    alertAt: (place: string) => Omit<Parameters<AlertsService['raise']>[0], 'key'>,
  ): Promise<void> {
    const nowMs = this.clock.now().getTime();
    if (nowMs < (this.#againAtMs.get(key) ?? -Infinity)) return;
    // Until it is told other lanes go on, and after a failure they do not all wait for the next.
    this.#againAtMs.set(key, nowMs + AFTER_FAILURE_MS);
    try {
      await this.alerts.raise({ key, ...alertAt(await this.placeOf(templateId, variable)) });
      this.#againAtMs.set(key, nowMs + AGAIN_AFTER_MS);
    } catch (error) {
      this.#logger.warn(`the alert ${key} could not be written: ${String(error)}`);
    }
  }

  private async placeOf(templateId: string, variable: string): Promise<string> {
    const version = await this.templates.byId(templateId);
    if (version === null) return `mail version ${templateId}`;
    const at = version.mjml.split('\n').findIndex((line) => line.includes(variable));
    const { file, line, mail } = await this.templates.placeOf(
      { template: version.key },
      { source: version.mjml, line: at < 0 ? null : at + 1 },
    );
    if (mail) return placeInWords(mail);
    return line === undefined ? (file ?? version.key) : `${file}:${line}`;
  }

  /** Alerts of which nothing was heard any more. */
  async closeOld(): Promise<void> {
    const before = this.clock.now().getTime() - OVER_AFTER_MS;
    for (const { key, lastSeenAt } of await this.alerts.open())
      if (key.startsWith(PREFIX) && lastSeenAt.getTime() < before) await this.alerts.resolve(key);
  }
}

function whatIsLeftOut(link: string, reader: string): string {
  if (link === FROM_HTML)
    return `the HTML that it prints with the filter raw has a link that would run a script for some readers, ${reader} among them: its words stand in their mails without a link. Put what they have right, or print it without raw.`;
  if (!isPersonal(link))
    return `the link ${link} would run a script or open a file: its words stand in all mails without a link. Give it the address of a page.`;
  return `the link ${link} leads to no page for some readers, ${reader} among them: its words stand in their mails without a link. Put what they have right, or give it a default.`;
}
