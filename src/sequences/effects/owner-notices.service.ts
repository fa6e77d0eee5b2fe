import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Sender } from '../../delivery/message/message.js';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { addressHash } from '../../subscribers/address-hash.js';
import { parseEmailAddress } from '../../values/email-address.js';

const TEMPLATE = 'emails/owner-notice';
/** The first goes at once; a million people at one step must not be a million mails. */
const PAUSE_MS = 3_600_000;
const MOST_NAMED = 20;

interface Waiting {
  ids: string[];
  firstId: string;
  stepKey: string;
  notice: string;
  sequenceKey: string;
  title: string;
  funnelKey: string;
  sender: Sender;
  people: string[];
}

/** The mails of notify steps: one an hour and step, with everybody who came by. */
@Injectable()
export class OwnerNoticesService {
  #templateId: string | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly messages: MessagesService,
    private readonly templates: TemplatesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async sendWaiting(): Promise<void> {
    const waiting = await this.waiting(this.dataSource.manager);
    for (const { sequenceKey, stepKey } of waiting) {
      await this.dataSource.transaction(async (manager) => {
        // One at a time: two workers would otherwise both find that none was sent within the hour.
        await manager.query(`select pg_advisory_xact_lock(hashtext('owner notice'))`);
        const group = (await this.waiting(manager)).find(
          (one) => one.sequenceKey === sequenceKey && one.stepKey === stepKey,
        );
        if (group) await this.send(manager, group);
      });
    }
  }

  private async send(manager: EntityManager, group: Waiting): Promise<void> {
    const now = this.clock.now();
    await manager.query('update owner_notice set sent_at = $2 where id = any($1::bigint[])', [
      group.ids,
      now,
    ]);
    this.#templateId ??= await this.templates.publish(this.dataSource.manager, TEMPLATE);
    const templateId = this.#templateId;
    const count = group.ids.length;
    const named = group.people.slice(0, MOST_NAMED);
    const people = named.map((id) => ({ id, url: `${this.config.baseUrl}/admin/subscribers/${id}` }));
    const { stepKey, notice, title } = group;
    const data = {
      notice: { text: notice, step: stepKey, sequence: title, count, more: count - people.length, people },
    };
    const owners = await this.owners(manager, group.sender);
    await this.messages.plan(
      manager,
      owners.map(({ email, emailKey }, index) => ({
        dedupeKey: `notice:${group.firstId}:${index}`,
        class: 'transactional',
        kind: 'notice',
        subscriberId: null,
        funnelKey: group.funnelKey,
        stepKey,
        templateId,
        data,
        sender: group.sender,
        address: email,
        addressHash: addressHash(this.config.secretKey, emailKey),
        dueAt: now,
      })),
    );
  }

  /** Before anybody has an account here, who the funnel's mails are from. */
  private async owners(
    manager: EntityManager,
    sender: Sender,
  ): Promise<{ email: string; emailKey: string }[]> {
    const owners: { email: string; emailKey: string }[] = await manager.query(
      'select email, email_key as "emailKey" from owner order by id',
    );
    if (owners.length > 0) return owners;
    const parsed = parseEmailAddress(sender.email);
    return parsed.ok ? [{ email: parsed.address, emailKey: parsed.key }] : [];
  }

  /** Per step, those that wait, where none has gone within the hour. Served by `owner_notice_waiting`. */
  private async waiting(manager: EntityManager): Promise<Waiting[]> {
    return manager.query(
      `select array_agg(n.id order by n.id) as ids, min(n.id) as "firstId", n.step_key as "stepKey", min(n.notice) as notice,
         q.key as "sequenceKey", q.title, q.funnel_key as "funnelKey", q.sender, array_agg(e.subscriber_id order by n.id) as people
       from owner_notice n join enrollment e on e.id = n.enrollment_id join sequence q on q.id = e.sequence_id
       where n.sent_at is null
       group by q.id, n.step_key
       having not exists (select 1 from owner_notice l join enrollment le on le.id = l.enrollment_id
         where le.sequence_id = q.id and l.step_key = n.step_key and l.sent_at > $1)`,
      [new Date(this.clock.now().getTime() - PAUSE_MS)],
    );
  }
}
