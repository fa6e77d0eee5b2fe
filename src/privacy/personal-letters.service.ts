import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { TemplatesService } from '../delivery/mails/templates.service.js';
import type { PlannedMessage, Sender } from '../delivery/message/message.js';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';

export interface PersonalLetter extends Pick<
  PlannedMessage,
  'dedupeKey' | 'data' | 'address' | 'addressHash' | 'expiresAt'
> {
  subscriberId: string;
  /** What it is for, as the ledger calls it. */
  purpose: string;
  template: string;
}

/** Mails about the person themselves, such as one with a link to their data, in the name of whoever writes to them. */
@Injectable()
export class PersonalLetters {
  readonly #templateIds = new Map<string, string>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly messages: MessagesService,
    private readonly templates: TemplatesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Goes at once. Nothing where nobody has ever written to anybody here. */
  async plan(manager: EntityManager, { purpose, template, ...letter }: PersonalLetter): Promise<void> {
    const from = await sentBy(manager, letter.subscriberId);
    if (from === null) return;
    const now = this.clock.now();
    await this.messages.plan(manager, [
      {
        ...letter,
        ...{ class: 'transactional', kind: 'notice', stepKey: purpose, ...from, dueAt: now, priority: 0 },
        templateId: await this.templateId(template),
      },
    ]);
  }

  /** In whose name pages without a mail of their own speak; null when nobody has written to the person. */
  async senderName(subscriberId: string): Promise<string | null> {
    return (await sentBy(this.dataSource.manager, subscriberId))?.sender.name ?? null;
  }

  /** The mail with this key came, should its end not be known: its link was used. */
  async came(dedupeKey: string): Promise<void> {
    await this.messages.linkUsedOf([dedupeKey]);
  }

  private async templateId(template: string): Promise<string> {
    const id =
      this.#templateIds.get(template) ?? (await this.templates.publish(this.dataSource.manager, template));
    this.#templateIds.set(template, id);
    return id;
  }
}

/** Who wrote to the person last, else whoever has a form here. Served by message_subscriber. */
async function sentBy(
  manager: EntityManager,
  subscriberId: string,
): Promise<{ sender: Sender; funnelKey: string } | null> {
  const rows: { sender: Sender; funnelKey: string }[] = await manager.query(
    `(select sender, funnel_key as "funnelKey" from message where subscriber_id = $1 and funnel_key is not null
       order by id desc limit 1)
     union all (select sender, funnel_key from form order by archived_at nulls first, id limit 1) limit 1`,
    [subscriberId],
  );
  return rows[0] ?? null;
}
