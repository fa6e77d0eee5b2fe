import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { addressHash } from '../../subscribers/address-hash.js';
import { encodeIds, signExpiring } from '../../values/signed-token.js';
import { forgetLogins, insertLogin, rememberMail, senderToAffiliates } from './partner.queries.js';
import { MINUTE_MS } from '../../values/time-units.js';

export const LOGIN_PURPOSE = 'partner-login';
export const LOGIN_MINUTES = 30;

const TEMPLATE = 'emails/partner-login';
/** How long the owner sees to whom a link was mailed. */
const KEPT_MS = 30 * 24 * 60 * MINUTE_MS;

/** Mails to affiliates about their page. */
@Injectable()
export class PartnerMails {
  #templateId: string | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly templates: TemplatesService,
    private readonly messages: MessagesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Plans the mail with a link that opens the page once, within half an hour. Without a form here there is no sender, and no mail. */
  async sendLink(affiliate: { id: string; name: string; email: string; emailKey: string }): Promise<void> {
    const { id: affiliateId, name, email, emailKey } = affiliate;
    this.#templateId ??= await this.templates.publish(this.dataSource.manager, TEMPLATE);
    const templateId = this.#templateId;
    const now = this.clock.now();
    const expiresAt = new Date(now.getTime() + LOGIN_MINUTES * MINUTE_MS);
    await this.dataSource.transaction(async (manager) => {
      const from = await senderToAffiliates(manager);
      if (from === null) return;
      const loginId = await insertLogin(manager, { affiliateId, emailKey, now, expiresAt });
      if (loginId === null) return;
      await forgetLogins(manager, affiliateId, new Date(now.getTime() - KEPT_MS));
      const token = signExpiring(this.config.secretKey, LOGIN_PURPOSE, encodeIds([loginId]), expiresAt);
      const [planned] = await this.messages.plan(manager, [
        {
          dedupeKey: `${LOGIN_PURPOSE}:${loginId}`,
          class: 'transactional',
          kind: 'notice',
          subscriberId: null,
          funnelKey: from.funnelKey,
          stepKey: LOGIN_PURPOSE,
          templateId,
          data: {
            partner: { name, url: `${this.config.baseUrl}/partner/enter/${token}`, minutes: LOGIN_MINUTES },
          },
          sender: from.sender,
          address: email,
          addressHash: addressHash(this.config.secretKey, emailKey),
          dueAt: now,
          expiresAt,
          priority: 0,
        },
      ]);
      if (planned) await rememberMail(manager, loginId, planned.id);
    });
  }
}
