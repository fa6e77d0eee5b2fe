import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { toldOfReports } from '../delivery/guards/broadcast-pause.queries.js';
import { isOfReports } from '../delivery/guards/sending-health.js';
import type { PreflightFinding } from '../delivery/preflight/mail-checks.js';
import type { PreflightReport } from '../delivery/preflight/preflight.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { Unchanged } from '../infra/http/etag.js';
import { Wake } from '../infra/jobs/wake.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import type { Broadcast, BroadcastDraft, BroadcastReport } from './broadcast.js';
import { checkFunnelOf, unknownNames } from './audience-names.queries.js';
import { BroadcastReports } from './broadcast-reports.service.js';
import { BroadcastPreflight } from './broadcast-preflight.service.js';
import { isRepeated, nextState, type BroadcastAction, type BroadcastState } from './broadcast-status.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { isReworded, waitingVersion, waitingWords } from './rewording.js';
import { nobodyFinding } from './reach.js';
import { checkArmHours, startOf, type PublishedWords } from './split.js';
import { AT_ONCE, beginOf, type BroadcastTiming } from './timing.js';

export const PLAN_BROADCASTS = 'broadcasts.plan';

/** One message to many people at a time, as the owner handles it. Owns `broadcast`, together with its planner. */
@Injectable()
export class BroadcastsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly reports: BroadcastReports,
    private readonly preflight: BroadcastPreflight,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * With a key that is taken: the broadcast that has it, unchanged. Throws `TEMPLATE_NOT_FOUND`, `TEMPLATE_INVALID`,
   * `BROADCAST_SPLIT_INVALID`, `SEGMENT_NOT_FOUND` and `FUNNEL_NOT_FOUND`.
   */
  async create({ key = null, ...draft }: BroadcastDraft & { key?: string | null }): Promise<BroadcastReport> {
    const id = await this.dataSource.transaction(async (manager) => {
      await checkFunnelOf(manager, draft.audience);
      const { templateId } = await this.preflight.publish(manager, draft);
      return this.queries.insert(manager, { ...draft, key, templateId }, this.clock.now());
    });
    return this.get(id);
  }

  /** Changes a draft; what is started keeps its words. Throws `BROADCAST_STATE_CONFLICT` and what `create` throws. */
  async edit(
    id: string,
    change: Partial<BroadcastDraft>,
    unchanged?: Unchanged<Broadcast>,
  ): Promise<BroadcastReport> {
    await this.dataSource.transaction(async (manager) => {
      const before = await this.locked(manager, id);
      unchanged?.(before);
      if (before.state !== 'draft') throw notNow(before, 'edit');
      if (before.resendOf !== null && change.audience !== undefined) {
        const message = 'audience: it goes to those whom the first mail did not reach, and to nobody else';
        throw new DomainError('BROADCAST_RESEND_INVALID', message, { field: 'audience' });
      }
      if (change.audience !== undefined) await checkFunnelOf(manager, change.audience);
      const draft = { ...before, ...change };
      const { templateId } = await this.preflight.publish(manager, draft);
      await this.queries.updateDraft(manager, id, { ...draft, templateId });
    });
    return this.get(id);
  }

  /**
   * Freezes the words; at `at` (now when null; of a local hour, when the first clock on earth shows it) the audience is
   * frozen and planning begins. Any number of clicks start it once. Throws `BROADCAST_PREFLIGHT_INVALID` for words that
   * would reach their readers broken, `BROADCAST_STATE_CONFLICT`, `BROADCAST_TIMING_INVALID`, `BROADCAST_EXPIRY_INVALID`,
   * and what `create` throws.
   */
  async start(id: string, at: Date | null, timing: BroadcastTiming = AT_ONCE): Promise<BroadcastReport> {
    const now = this.clock.now();
    const looked = await this.found(id);
    // Before the transaction: it asks pages whether they are there, which may take a minute.
    let judged: PublishedWords | null = null;
    if (nextState(looked, 'start') !== null) {
      judged = await this.preflight.publish(this.dataSource.manager, looked);
      await this.preflight.pass(looked);
    }
    await this.dataSource.transaction(async (manager) => {
      const broadcast = await this.locked(manager, id);
      if (isRepeated(broadcast, 'start')) return;
      if (nextState(broadcast, 'start') === null) throw notNow(broadcast, 'start');
      if (contentOf(broadcast) !== contentOf(looked)) throw changedMeanwhile(broadcast);
      checkArmHours(broadcast, timing);
      const startsAt = beginOf(timing, { ...startOf(broadcast), at, now });
      const words = await this.preflight.publish(manager, broadcast);
      // Its mail itself may have been written anew under the same name.
      if (!isDeepStrictEqual(words, judged)) throw changedMeanwhile(broadcast);
      await this.queries.schedule(manager, id, { ...words, at: startsAt, timing });
      await this.wake.notify(manager, PLAN_BROADCASTS);
    });
    return this.get(id);
  }

  /** Takes effect at once: the barrier of each mail reads the state. Throws `BROADCAST_STATE_CONFLICT`. */
  async pause(id: string): Promise<BroadcastReport> {
    return this.change(id, 'pause', 'paused by the owner');
  }

  /**
   * Goes on where the pause came. Throws `BROADCAST_STATE_CONFLICT`, and `BROADCAST_PREFLIGHT_INVALID` where words that were
   * changed in the pause break on what a reader has by now.
   */
  async resume(id: string): Promise<BroadcastReport> {
    const looked = await this.found(id);
    if (looked.state === 'paused' && isReworded(looked)) {
      const templateId = waitingVersion(looked);
      await this.preflight.passStored({ ...waitingWords(looked), templateId, armTemplateIds: null });
    }
    return this.change(id, 'resume', null);
  }

  /** For good; what was sent stays sent. Throws `BROADCAST_STATE_CONFLICT`. */
  async cancel(id: string): Promise<BroadcastReport> {
    return this.change(id, 'cancel', 'cancelled by the owner');
  }

  /** Throws `BROADCAST_NOT_FOUND`. */
  async get(id: string): Promise<BroadcastReport> {
    return this.reports.get(id);
  }

  /** How many subscribers would get it if it started now. Throws `BROADCAST_NOT_FOUND`. */
  async audienceSize(id: string): Promise<number> {
    return this.queries.audienceSize(await this.found(id));
  }

  /** What is wrong with its mail, over everybody who would get it now, and whether anybody would. Throws `BROADCAST_NOT_FOUND`. */
  async check(id: string): Promise<PreflightReport> {
    const broadcast = await this.found(id);
    const report = await this.preflight.report(broadcast);
    return { ...report, findings: [...(await this.audienceFindings(broadcast)), ...report.findings] };
  }

  /** That nobody would get it now, and why, and which names of its audience are of nothing. */
  async audienceFindings({ audience }: Pick<Broadcast, 'audience'>): Promise<PreflightFinding[]> {
    const kept = await this.queries.keptFrom({ audience });
    const unknown = await unknownNames(this.dataSource.manager, audience);
    return [...(kept === null ? [] : [nobodyFinding(kept)]), ...unknown];
  }

  private async change(id: string, action: BroadcastAction, reason: string | null): Promise<BroadcastReport> {
    await this.dataSource.transaction(async (manager) => {
      const broadcast = await this.locked(manager, id);
      if (isRepeated(broadcast, action)) return;
      const state = nextState(broadcast, action);
      if (state === null) throw notNow(broadcast, action);
      // Whoever lets one go on that they have paused by hand has judged nothing of what came back, but where they were told of it.
      const judged =
        action === 'resume' &&
        (isOfReports(broadcast.stateReason ?? '') || (await toldOfReports(manager, id)));
      await this.queries.setState(manager, id, { state, reason, now: this.clock.now(), judged });
      await this.wake.notify(manager, PLAN_BROADCASTS);
    });
    return this.get(id);
  }

  private async found(id: string): Promise<Broadcast> {
    const broadcast = await this.queries.find(id);
    if (broadcast) return broadcast;
    throw notFound('broadcast', id);
  }

  private async locked(manager: EntityManager, id: string): Promise<Broadcast> {
    const broadcast = await this.queries.lock(manager, id);
    if (broadcast) return broadcast;
    throw notFound('broadcast', id);
  }
}

/** What the preflight judged. */
function contentOf({ template, subject, offer, split, sender, audience, topic }: Broadcast): string {
  return JSON.stringify([template, subject, offer, split, sender, audience, topic]);
}

function changedMeanwhile({ id, state }: Broadcast): DomainError {
  const message = 'it was changed while it was looked at; start it again';
  return new DomainError('BROADCAST_STATE_CONFLICT', message, { id, state });
}

function notNow({ id, state }: { id: string; state: BroadcastState }, action: string): DomainError {
  return new DomainError(
    'BROADCAST_STATE_CONFLICT',
    `a broadcast that is ${state} cannot be changed by "${action}"`,
    {
      id,
      state,
      action,
    },
  );
}
