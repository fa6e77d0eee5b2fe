import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { OWNERS_PRIORITY, type PlannedMessage, type Sender } from '../../delivery/message/message.js';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { type Alert, AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { addressHash } from '../../subscribers/address-hash.js';
import { DAY_MS, HOUR_MS } from '../../values/time-units.js';
import { firstSentence } from './first-sentence.js';

const TEMPLATE = 'emails/owner-alerts';
/** The first goes at once. A trouble that comes and goes by the minute is a new alert each time. */
const PAUSE_MS = HOUR_MS;
/** Of a mail that no relay has taken for so long the news is old; the pages still have it. */
const OF_USE_MS = DAY_MS;

/**
 * Tells the owner by mail of what is critical, once when it begins. A mail like any other: about a relay that is out, or a
 * database that may not send, it goes when that is over, or not at all, and nothing waits for it.
 */
@Injectable()
export class AlertMails {
  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    private readonly messages: MessagesService,
    private readonly templates: TemplatesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** All that is new in one mail, and no second one within the hour. Without an owner, or anybody to write as, it waits. */
  async sendWaiting(): Promise<void> {
    const { manager: db } = this.dataSource;
    if ((await this.alerts.unmailed(db)).length === 0) return;
    const templateId = await this.templates.publish(db, TEMPLATE);
    await this.dataSource.transaction(async (manager) => {
      const waiting = await this.alerts.unmailed(manager);
      const hourAgo = new Date(this.clock.now().getTime() - PAUSE_MS);
      if (waiting.length === 0 || (await this.alerts.isMailedSince(manager, hourAgo))) return;
      const mails = await this.mailsAbout(manager, waiting, templateId);
      if (mails.length === 0) return;
      await this.messages.plan(manager, mails);
      const ids = waiting.map(({ id }) => id);
      await this.alerts.wereMailed(manager, ids);
    });
  }

  private async mailsAbout(
    manager: EntityManager,
    waiting: readonly Alert[],
    templateId: string,
  ): Promise<PlannedMessage[]> {
    const owners: { email: string; emailKey: string }[] = await manager.query(
      'select email, email_key as "emailKey" from owner order by id',
    );
    const from = await writer(manager);
    if (from === null) return [];
    const now = this.clock.now();
    const list = waiting.map(({ message }) => message);
    return owners.map(({ email, emailKey }, index) => ({
      dedupeKey: `alerts:${waiting[0]?.id}:${index}`,
      class: 'transactional',
      kind: 'notice',
      subscriberId: null,
      funnelKey: from.funnelKey,
      stepKey: 'alerts',
      templateId,
      data: {
        alerts: { subject: firstSentence(list[0] ?? ''), list, url: `${this.config.baseUrl}/admin/sending` },
      },
      sender: from.sender,
      address: email,
      addressHash: addressHash(this.config.secretKey, emailKey),
      dueAt: now,
      priority: OWNERS_PRIORITY,
      expiresAt: new Date(now.getTime() + OF_USE_MS),
    }));
  }
}

/** As whom the installation writes: of its newest sequence, else of its newest broadcast. */
async function writer(manager: EntityManager): Promise<{ sender: Sender; funnelKey: string } | null> {
  const rows: { sender: Sender; funnelKey: string }[] = await manager.query(
    `(select sender, funnel_key as "funnelKey" from sequence order by id desc limit 1)
     union all (select sender, '' from broadcast order by id desc limit 1) limit 1`,
  );
  return rows[0] ?? null;
}
