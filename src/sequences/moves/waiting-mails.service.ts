import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { ARM_OF_READER } from '../../delivery/waiting/held.queries.js';
import { EXIT } from '../steps/exit-reasons.js';
import type { PreparedSequence } from '../steps/prepared.js';
import { mailsAhead } from './placement.js';
import { waitingWords, type WaitingMail } from './waiting-words.js';

const PAGE = 1_000;

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
   * As `rewrite`, of people who have come to the end, or gone to another sequence, and whose last mail is held: they go nowhere, but
   * their mail does. The next mails behind `after`; returns the last of them, null when there was none. Served by `message_held`.
   */
  async rewriteLast(
    manager: EntityManager,
    { sequenceId, versionId, to }: { sequenceId: string; versionId: string; to: PreparedSequence },
    after: string,
  ): Promise<string | null> {
    const held: Waiting[] = await manager.query(
      `${WAITING} m.state = 'held' and m.id > $3 and e.sequence_id = $1 and e.version_id <> $2 and e.status <> 'active'
       order by m.id limit ${PAGE}`,
      [sequenceId, versionId, after],
    );
    await this.giveWords(manager, to, held, new Map());
    return held.at(-1)?.id ?? null;
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
