import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AlertsService, type Alert } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { DomainCheckService, type CheckedBy, type DomainReport } from './domain-check.service.js';
import { domainAlert } from './domain-alert.js';
import { putSetting, readSetting } from '../../infra/database/settings.js';
import { DAY_MS } from '../../values/time-units.js';

/** A day, less what a tick may come early. */
const CHECK_AFTER_MS = DAY_MS - 60 * 60_000;
const CHECKED_KEY = 'domains.checked';
const ALERT_PREFIX = 'domain:';

/**
 * Looks once a day whether what the world must see of our sending domains is still there: records get lost when a zone
 * is moved, certificates run out. Owns the setting `domains.checked` and the alerts `domain:<domain>`.
 */
@Injectable()
export class DomainWatch {
  constructor(
    private readonly dataSource: DataSource,
    private readonly domains: DomainCheckService,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Does nothing within a day of the last look, and nothing at all while no mail leaves. */
  async checkDaily(options: CheckedBy = {}): Promise<void> {
    if (this.config.mailboxOn) return;
    const now = this.clock.now();
    const last = await readSetting<{ at: string }>(this.dataSource, CHECKED_KEY);
    if (last !== null && now.getTime() - Date.parse(last.at) < CHECK_AFTER_MS) return;
    await this.check(options);
    await putSetting(this.dataSource, CHECKED_KEY, { at: now.toISOString() }, now);
  }

  private async check(options: CheckedBy): Promise<void> {
    const senders = await this.domains.senderDomains();
    const reports = senders.length === 0 ? [] : await this.domains.check(senders, options);
    const open = await this.alerts.open();
    for (const report of reports) await this.tell(report, failedIn(open, keyOf(report.domain)));
    const watched = new Set(reports.map(({ domain }) => keyOf(domain)));
    for (const { key } of open)
      if (key.startsWith(ALERT_PREFIX) && !watched.has(key)) await this.alerts.resolve(key);
  }

  /** What could not be asked neither raises an alert nor ends one. */
  private async tell({ domain, findings }: DomainReport, failedBefore: readonly string[]): Promise<void> {
    const key = keyOf(domain);
    const alert = domainAlert(domain, findings, failedBefore);
    if (alert === 'good') await this.alerts.resolve(key);
    else if (alert !== 'unknown') await this.alerts.raise({ key, severity: 'warning', ...alert });
  }
}

/** Null stands for the installation: its address and certificate. */
function keyOf(domain: string | null): string {
  return `${ALERT_PREFIX}${domain ?? '(this installation)'}`;
}

/** Which checks an open alert is about, by their ids. */
function failedIn(open: readonly Alert[], key: string): string[] {
  const failed: unknown = open.find((one) => one.key === key)?.facts.failed;
  return Array.isArray(failed) ? failed.map(String) : [];
}
