import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { FALLBACK_ZONE, prepareSequence } from '../sequences/steps/prepared.js';
import { addressHash } from '../subscribers/address-hash.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { timeZoneOr } from '../values/zoned-time.js';
import { explainBroadcast } from './explain-broadcast.js';
import { explainMessage, type MessageFacts } from './explain-message.js';
import { broadcastTimeOf, splitOfBroadcastMail, splitsAt } from './explain-split.queries.js';
import { explainStep, notKept } from './explain-step.js';
import {
  absenceRow,
  attemptRows,
  broadcastMessageId,
  broadcastRow,
  conditionsUnmet,
  enrollmentRow,
  type MessageRow,
  messageRow,
  optedOutSince,
  personRow,
  type PersonRow,
  reportRows,
  sequenceOf,
  sequencePaused,
  signupRow,
  stepMails,
  suppressionRows,
  versionOfEnrollment,
  wordsRow,
} from './explain.queries.js';
import { ExplainWaits } from './explain-waits.service.js';
import type { Explanation } from './explanation.js';

export interface Explained extends Explanation {
  /** The mail that was explained; null when there is none. */
  messageId: string | null;
}

/** Why was this (not) sent: gathers what the rules read, and lets the pure half put it in order. Changes nothing. */
@Injectable()
export class ExplainService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly waits: ExplainWaits,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `MESSAGE_NOT_FOUND`. */
  async message(id: string): Promise<Explained> {
    const row = await messageRow(this.dataSource.manager, id);
    if (!row) throw notFound('message', id);
    return { messageId: id, ...explainMessage(await this.messageFacts(row)) };
  }

  /**
   * Of the person's latest time in the sequence: what an earlier time came to says nothing of that. Throws
   * `SUBSCRIBER_NOT_FOUND`, `FUNNEL_NOT_FOUND`, and `STEP_NOT_FOUND` when no version of
   * the sequence has it.
   */
  async step(subscriberId: string, funnel: string, step: string): Promise<Explained> {
    const db = this.dataSource.manager;
    const person = await this.person(db, subscriberId);
    const sequence = await sequenceOf(db, funnel);
    if (!sequence) throw notFound('funnel', funnel, 'key');
    if (!sequence.steps.includes(step)) {
      const facts = { funnel, step, steps: sequence.steps };
      throw new DomainError('STEP_NOT_FOUND', `The funnel "${funnel}" has no step "${step}"`, facts);
    }
    const enrollment = await enrollmentRow(db, { subscriberId, sequenceId: sequence.id, stepKey: step });
    const enrollmentId = enrollment?.id ?? null;
    const { ofTime, other } = await stepMails(db, { subscriberId, funnel, step, enrollmentId });
    if (ofTime !== null) return this.message(ofTime.id);
    if (enrollment === null && other !== null) {
      const { chain, ...answer } = await this.message(other.id);
      return { ...answer, chain: [notKept(sequence), ...chain] };
    }
    const fallback = enrollment?.definition.fallbackZone ?? FALLBACK_ZONE;
    const absence = explainStep({
      now: this.clock.now(),
      stepKey: step,
      sequence,
      person: { ...person, zone: timeZoneOr(person.timeZone, fallback).zone },
      suppressions: await suppressionRows(db, addressHash(this.config.secretKey, person.addressKey)),
      sequencePaused: await sequencePaused(db, { kind: 'sequence', class: 'marketing', topic: funnel }),
      signup: await signupRow(db, subscriberId, funnel),
      enrollment,
      earlierMail: other,
    });
    return { messageId: null, ...absence };
  }

  /** Throws `SUBSCRIBER_NOT_FOUND` and `BROADCAST_NOT_FOUND`. */
  async broadcast(subscriberId: string, broadcastId: string): Promise<Explained> {
    const db = this.dataSource.manager;
    const person = await this.person(db, subscriberId);
    const hash = addressHash(this.config.secretKey, person.addressKey);
    const absence = await absenceRow(db, { broadcastId, subscriberId, addressHash: hash });
    if (!absence) throw notFound('broadcast', broadcastId);
    const id = await broadcastMessageId(db, subscriberId, broadcastId);
    if (id !== null) return this.message(id);
    const { audience, segments, ...known } = absence;
    const { topic } = known.broadcast;
    return {
      messageId: null,
      ...explainBroadcast({
        ...known,
        leftOut: await conditionsUnmet(db, subscriberId, {
          ...{ audience, segments, startedAt: known.broadcast.startedAt, zone: this.config.timeZone },
        }),
        person,
        suppressions: await suppressionRows(db, hash),
        optedOutSince: topic === null ? null : await optedOutSince(db, subscriberId, topic),
      }),
    };
  }

  private async messageFacts(row: MessageRow): Promise<MessageFacts> {
    const db = this.dataSource.manager;
    const { subscriberId, broadcastId } = row;
    const person = subscriberId === null ? null : await personRow(db, subscriberId);
    return {
      now: this.clock.now(),
      message: row,
      person,
      suppressions: await suppressionRows(db, row.addressHash),
      optedOutSince: subscriberId === null ? null : await optedOutSince(db, subscriberId, row.topic),
      splits: await this.splits(row),
      broadcastSplit: broadcastId === null ? null : await splitOfBroadcastMail(db, row.id),
      sequence: await this.sequence(row, person),
      broadcast: broadcastId === null ? null : await broadcastRow(db, broadcastId),
      words: broadcastId === null ? null : await wordsRow(db, row.id),
      broadcastTime: broadcastId === null ? null : await broadcastTimeOf(db, row.id),
      attempts: await attemptRows(db, row.id),
      reports: await reportRows(db, row.id),
      ...(await this.waits.of(row)),
    };
  }

  /** As things stood when the mail was planned. */
  private async splits(row: MessageRow): Promise<MessageFacts['splits']> {
    const { enrollmentId, stepKey, subscriberId, createdAt: at } = row;
    if (enrollmentId === null || stepKey === null || subscriberId === null) return [];
    return splitsAt(this.dataSource.manager, { enrollmentId, stepKey, subscriberId, at });
  }

  private async sequence(row: MessageRow, person: PersonRow | null): Promise<MessageFacts['sequence']> {
    if (row.enrollmentId === null || row.stepKey === null) return null;
    const version = await versionOfEnrollment(this.dataSource.manager, row.enrollmentId, row.createdAt);
    if (!version) return null;
    const { timings, fallbackZone } = prepareSequence(version.definition);
    const timing = timings.get(row.stepKey) ?? {};
    const { zone } = timeZoneOr(person?.timeZone ?? null, fallbackZone);
    return { title: version.title, version: version.version, timing, zone };
  }

  private async person(db: EntityManager, id: string): Promise<PersonRow> {
    const person = await personRow(db, id);
    if (person) return person;
    throw notFound('subscriber', id);
  }
}
