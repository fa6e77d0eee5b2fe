import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { Unchanged } from '../infra/http/etag.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import type { Broadcast, BroadcastDraft, BroadcastReport } from './broadcast.js';
import { BroadcastPreflight } from './broadcast-preflight.service.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { BroadcastsService } from './broadcasts.service.js';
import {
  armOfRest,
  rewordedTo,
  rewordingOf,
  waitingVersion,
  waitingWords,
  type OneMail,
} from './rewording.js';
import type { PublishedWords } from './split.js';

/**
 * The words of a broadcast, as their owner writes them anew: a draft as a whole, and of one that stands still what is still to go.
 * Mails that wait get the new ones when they come up, by the claim; what has gone, or may have, keeps its own. So no mail is
 * rewritten here, however many wait, and there is nothing that could be left half done.
 */
@Injectable()
export class BroadcastWords {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly broadcasts: BroadcastsService,
    private readonly preflight: BroadcastPreflight,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Throws what `BroadcastsService.edit` does, and of one that is paused `BROADCAST_PREFLIGHT_INVALID` for words that would
   * reach their readers broken.
   */
  async edit(
    id: string,
    change: Partial<BroadcastDraft>,
    unchanged?: Unchanged<Broadcast>,
  ): Promise<BroadcastReport> {
    const looked = await this.queries.find(id);
    if (looked?.state !== 'paused') return this.broadcasts.edit(id, change, unchanged);
    // Before its new words are looked at, which takes a while, and once more with its row locked.
    unchanged?.(looked);
    const rewording = rewordingOf(looked, change);
    const { title, ...words } = rewording;
    const mail = Object.keys(words).length === 0 ? null : waitingWords(looked, words);
    // Before the transaction, as at the start: it asks pages whether they are there.
    const judged = mail && (await this.preflight.publish(this.dataSource.manager, mail));
    if (mail) await this.preflight.pass(mail);
    await this.dataSource.transaction(async (manager) => {
      const broadcast = await this.queries.lock(manager, id);
      if (broadcast === null) throw notFound('broadcast', id);
      unchanged?.(broadcast);
      if (broadcast.state !== 'paused' || !sameWords(broadcast, looked)) throw changedMeanwhile(broadcast);
      const published = mail && (await this.preflight.publish(manager, mail));
      if (!isDeepStrictEqual(published, judged)) throw changedMeanwhile(broadcast);
      if (title !== undefined)
        await manager.query('update broadcast set title = $2 where id = $1', [id, title]);
      if (mail && published) await this.reword(manager, broadcast, { mail, published });
    });
    return this.broadcasts.get(id);
  }

  /** The row is locked. Its planner and the claim read it at each batch. */
  private async reword(
    manager: EntityManager,
    broadcast: Broadcast,
    { mail, published }: { mail: OneMail; published: PublishedWords },
  ): Promise<void> {
    const { id, startedAt, decision, rewordedAt } = broadcast;
    const { template, subject } = mail;
    const isOfRest = armOfRest(broadcast) !== null;
    // What was tested stands as it was, and the mails of the rest come from its words to the new ones.
    const now = isOfRest ? broadcast : { ...broadcast, ...published, subject };
    const [from, to] = [waitingVersion(broadcast), published.templateId];
    // Written once more as they were no mail gets others, and before it has begun nobody has any.
    const hadOthers = startedAt !== null && from !== to;
    const reworded = hadOthers ? rewordedTo(broadcast.reworded, { from, to }) : broadcast.reworded;
    await manager.query(
      `update broadcast set email_template_id = $2, arm_template_ids = $3::bigint[], subject = $4, decision = $5,
         reworded = $6, reworded_at = $7 where id = $1`,
      [
        ...[id, now.templateId, now.armTemplateIds, now.subject],
        decision && JSON.stringify(isOfRest ? { ...decision, words: { template, subject } } : decision),
        ...[reworded && JSON.stringify(reworded), hadOthers ? this.clock.now() : rewordedAt],
      ],
    );
  }
}

function sameWords(one: Broadcast, other: Broadcast): boolean {
  const wordsOf = ({ templateId, armTemplateIds, startedAt, decision }: Broadcast): unknown => [
    ...[templateId, armTemplateIds, startedAt, decision],
  ];
  return isDeepStrictEqual(wordsOf(one), wordsOf(other));
}

function changedMeanwhile({ id, state }: Broadcast): DomainError {
  const message =
    'it was changed or let go on while its new words were looked at; pause it and change it again';
  return new DomainError('BROADCAST_STATE_CONFLICT', message, { id, state });
}
