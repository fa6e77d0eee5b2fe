import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { ARM_OF_READER } from '../../delivery/waiting/held.queries.js';
import { EXIT } from '../steps/exit-reasons.js';
import type { PreparedSequence } from '../steps/prepared.js';
import { mailsAhead } from './placement.js';
import { waitingWords, type WaitingMail } from './waiting-words.js';

/** Conditions follow. */
const WAITING = `
  select m.id, m.dedupe_key as "dedupeKey", m.enrollment_id as "enrollmentId", m.step_key as step, ${ARM_OF_READER} as arm,
    m.email_template_id as "templateId", w.key as "templateKey", m.data #>> '{offer,slug}' as offer
  from enrollment e join sequence q on q.id = e.sequence_id
    join message m on m.subscriber_id = e.subscriber_id and m.enrollment_id = e.id and m.step_key is not null
    join email_template w on w.id = m.email_template_id where`;

interface Waiting extends WaitingMail {
  id: string;
  dedupeKey: string;
  enrollmentId: string;
}

/** Where somebody has come to in the version that they are taken to; null: to its end. */
interface Place {
  id: string;
  stepKey: string | null;
  had: Readonly<Record<string, string>> | null;
}

/**
 * Mails that are written and wait, for a pause or the frequency cap, while their people are taken to another version: they
 * go with its words. Their owner may have paused them for the very words that are mended there.
 */
@Injectable()
export class WaitingMails {
  constructor(private readonly messages: MessagesService) {}

  /** Served by `message_subscriber`. */
  async rewrite(manager: EntityManager, to: PreparedSequence, people: readonly Place[]): Promise<void> {
    const mails: Waiting[] = await manager.query(
      `${WAITING} e.id = any($1::bigint[]) and m.state in ('ready', 'held')`,
      [people.map(({ id }) => id)],
    );
    await this.giveWords(manager, to, mails, new Map(people.map((place) => [place.id, place])));
  }

  /**
   * The mails that wait of people who have come to the end, or gone to another sequence: they go nowhere, but their last mail does. All
   * at once, by their ids, as each look walks past all that waits in the ledger; served by `message_ready` and `message_held`.
   */
  async last(
    manager: EntityManager,
    { sequenceId, versionId }: { sequenceId: string; versionId: string },
  ): Promise<string[]> {
    const rows: { id: string }[] = await manager.query(
      `select m.id from (${['ready', 'held'].map((state) => `select id, enrollment_id from message where state = '${state}'`).join(' union all ')}) m
         join enrollment e on e.id = m.enrollment_id
       where e.sequence_id = $1 and e.version_id <> $2 and e.status <> 'active' order by m.id`,
      [sequenceId, versionId],
    );
    return rows.map(({ id }) => id);
  }

  /** As `rewrite`, of these. By their keys. */
  async rewriteLast(manager: EntityManager, to: PreparedSequence, ids: readonly string[]): Promise<void> {
    const mails: Waiting[] = await manager.query(
      `${WAITING} m.id = any($1::bigint[]) and m.state in ('ready', 'held') and e.status <> 'active'`,
      [ids],
    );
    await this.giveWords(manager, to, mails, new Map());
  }

  private async giveWords(
    manager: EntityManager,
    to: PreparedSequence,
    mails: readonly Waiting[],
    places: ReadonlyMap<string, Place>,
  ): Promise<void> {
    const words = mails.map((mail) => {
      const { stepKey, had } = places.get(mail.enrollmentId) ?? { stepKey: null, had: null };
      return { mail, templateId: waitingWords(to, mail, () => mailsAhead(to, stepKey, had)) };
    });
    const out = words.filter(({ templateId }) => templateId === null).map(({ mail }) => mail.dedupeKey);
    const changed = words.flatMap(({ mail: { id, templateId: was }, templateId }) =>
      templateId === null || templateId === was ? [] : [{ id, templateId }],
    );
    await this.messages.rewrite(manager, changed);
    await this.messages.cancelPlanned(manager, out, EXIT.stepOut());
  }
}
