import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { VersionsService } from '../advance/versions.service.js';
import { EXIT } from '../steps/exit-reasons.js';
import type { PreparedSequence } from '../steps/prepared.js';
import { waitingWords } from './waiting-words.js';

const PAGE = 1_000;

/** Somebody's place in a sequence, in its earlier version, and steps that they have had there. */
interface Had {
  id: string;
  versionId: string;
  steps: readonly string[];
}

/**
 * Mails that are written and wait, for a pause or the frequency cap, while their people are taken to another version: they
 * go with its words. Their owner may have paused them for the very words that are mended there.
 */
@Injectable()
export class WaitingMails {
  constructor(
    private readonly versions: VersionsService,
    private readonly messages: MessagesService,
  ) {}

  async rewrite(manager: EntityManager, to: PreparedSequence, people: readonly Had[]): Promise<void> {
    const versions = await this.versions.running(manager, people);
    const words = new Map([...versions].map(([id, { sequence }]) => [id, waitingWords(sequence, to)]));
    const mails = people.flatMap(({ id, versionId, steps }) =>
      (words.get(versionId) ?? [])
        .filter(({ step }) => steps.includes(step))
        .map(({ step, was, is }) => ({ dedupeKey: `seq:${id}:${step}`, was, is })),
    );
    await this.messages.rewrite(
      manager,
      mails.flatMap(({ is, ...mail }) => (is === null ? [] : [{ ...mail, is }])),
    );
    const out = mails.filter(({ is }) => is === null).map(({ dedupeKey }) => dedupeKey);
    await this.messages.cancelPlanned(manager, out, EXIT.stepOut());
  }

  /**
   * As `rewrite`, of people who have come to the end and whose last mail is held: they go nowhere, but their mail does. The next
   * mails behind `after`; returns the last of them, null when there was none. Served by `message_held`.
   */
  async rewriteLast(
    manager: EntityManager,
    { sequenceId, versionId, to }: { sequenceId: string; versionId: string; to: PreparedSequence },
    after: string,
  ): Promise<string | null> {
    const held: { messageId: string; id: string; versionId: string; step: string }[] = await manager.query(
      `select m.id as "messageId", e.id, e.version_id as "versionId", m.step_key as step
       from message m join enrollment e on e.id = m.enrollment_id
       where m.state = 'held' and m.id > $3 and e.sequence_id = $1 and e.version_id <> $2 and e.status = 'completed'
       order by m.id limit ${PAGE}`,
      [sequenceId, versionId, after],
    );
    const people = held.map(({ id, versionId: before, step }) => ({ id, versionId: before, steps: [step] }));
    await this.rewrite(manager, to, people);
    return held.at(-1)?.messageId ?? null;
  }
}
