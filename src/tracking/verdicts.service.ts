import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { JobContext } from '../infra/jobs/job.js';
import { Wake } from '../infra/jobs/wake.js';
import { AfterWork } from './after-work.service.js';
import {
  CHECKED_AT_DELIVERY_MS,
  closeTogether,
  judgeMailHits,
  LOOK_AROUND_MS,
  SEVERAL_MAILS,
  severalMails,
} from './burst.js';
import { HIT_RULE_VERSION, type HitVerdict, PERSON } from './hit-class.js';
import {
  closeHammered,
  dueHits,
  hammeredMails,
  hitsOfMails,
  lockVerdicts,
  nextHits,
  settleLonely,
  stopWaiting,
  unstoredElsewhere,
  updateVerdicts,
  waitingAtDelivery,
} from './hits.queries.js';
import { isForgotten, type NewVerdict, replaced, type StoredHit, withFacts } from './stored-hit.js';
import { putSetting, readSetting } from '../infra/database/settings.js';

export const SETTLE_CLICKS = 'tracking.settle-clicks';
export const RECLASSIFY = 'tracking.reclassify';

/** Each of these keeps the database, or this process, for some hundredths of a second. */
const SETTLE_AT_ONCE = 200;
const LONELY_AT_ONCE = 500;
const REJUDGE_AT_ONCE = 1_000;
/** A reader's own pictures beside a click; with more of them it is looked at in full. */
const MOST_PICTURES_BESIDE = 20;
/** Between two hits that are settled together; nobody presses links that often. */
const MOST_HITS_OF_A_MAIL = 1_000;
const MOST_WAITING_COMPARED = 10_000;
/** Clicks that belong together wait together, for `SETTLE_MS`; they need not be looked for with each batch. */
const CROWD_HOLDS_MS = 1_000;
/** A process that has said nothing for so long has ended, and took what it had with it. */
const MARK_HOLDS_MS = 10_000;
/** One that had no hits for a while says each second when it has some; the word itself takes its time. */
const UNHEARD_MS = 2_000;
/** Younger hits may still be on their way in with a smaller id than one that is there already. */
const SETTLED_AFTER_MS = 120_000;
const PROGRESS = 'tracking.reclassify';

/** Clicks of clients that ask for links of several mails at once, and when they were looked for. */
interface Crowd {
  ids: ReadonlySet<string>;
  foundMs: number;
  /** A click whose moment passed later may belong to a crowd that was not complete then. */
  completeAt: Date;
}

interface Progress {
  ruleVersion: number;
  afterId: string;
}

/** Second thoughts about hits: when the rest of a burst has come or not, and when the rules have changed. */
@Injectable()
export class VerdictsService {
  /** Of crowds found before: what still waits is one of them too, though they wait no more. */
  #crowdLately: StoredHit[] = [];

  constructor(
    private readonly dataSource: DataSource,
    private readonly wake: Wake,
    private readonly afterWork: AfterWork,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Decides about the clicks whose moment has passed. Earlier hits that turn out to belong to a burst are corrected
   * with them. Wakes the sequences for those that are a person's.
   */
  async settleDue(signal?: AbortSignal): Promise<void> {
    let more = true;
    const crowd: Crowd = { ids: new Set(), foundMs: -Infinity, completeAt: new Date(0) };
    while (more && signal?.aborted !== true)
      more = await this.afterWork.run(async () =>
        this.dataSource.transaction(async (manager) => this.settleSome(manager, crowd)),
      );
  }

  /**
   * Judges the hits of earlier rules anew, a batch in a transaction, until all are done or the run must end; the next
   * one goes on from there. An earlier verdict stays with the hit, in `earlier`.
   */
  async reclassify({ signal }: Pick<JobContext, 'signal'>): Promise<void> {
    while (!signal.aborted) {
      const more = await this.dataSource.transaction(async (manager) => this.reclassifySome(manager));
      if (!more) return;
    }
  }

  /** Lets `reclassify` begin at the first hit again; hits that the present rules have judged are left alone. */
  async startReclassification(): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await lockVerdicts(manager);
      await this.saveProgress(manager, { ruleVersion: HIT_RULE_VERSION, afterId: '0' });
      await this.wake.notify(manager, RECLASSIFY);
    });
  }

  /** False when nothing more is due. */
  private async settleSome(manager: EntityManager, crowd: Crowd): Promise<boolean> {
    await lockVerdicts(manager);
    const now = await this.settledUntil(manager, crowd);
    const { looked, settled } = await settleLonely(manager, {
      ...{ now, limit: LONELY_AT_ONCE, reason: PERSON.reason, mostBeside: MOST_PICTURES_BESIDE },
      ...{ lookAroundMs: LOOK_AROUND_MS, atDeliveryMs: CHECKED_AT_DELIVERY_MS },
    });
    if (settled > 0) await this.wake.notify(manager, 'sequences.advance-due');
    const left = looked - settled;
    if (left > 0) {
      const due = await dueHits(manager, now, Math.min(left, SETTLE_AT_ONCE));
      await this.judgeDue(manager, due, await this.crowdNow(manager, crowd, now));
    }
    return looked === LONELY_AT_ONCE || left > SETTLE_AT_ONCE;
  }

  /** Clicks may be decided about whose moment passed by then: the rest of a burst may be among what is not stored yet. */
  private async settledUntil(manager: EntityManager, crowd: Crowd): Promise<Date> {
    const now = this.clock.now().getTime();
    const elsewhere = await unstoredElsewhere(manager, {
      besides: this.afterWork.processId,
      ...{ after: new Date(now - MARK_HOLDS_MS), idleSince: new Date(now - UNHEARD_MS) },
    });
    const crowdUntil = isFresh(crowd) ? crowd.completeAt.getTime() : Infinity;
    return new Date(Math.min(now, this.afterWork.unstoredSinceMs, elsewhere, crowdUntil));
  }

  private async crowdNow(manager: EntityManager, crowd: Crowd, now: Date): Promise<ReadonlySet<string>> {
    if (isFresh(crowd)) return crowd.ids;
    const limits = { limit: MOST_WAITING_COMPARED, atDeliveryMs: CHECKED_AT_DELIVERY_MS };
    const oldest = now.getTime() - 2 * LOOK_AROUND_MS;
    const waiting = await waitingAtDelivery(manager, limits);
    const before = new Map(this.#crowdLately.map((hit) => [hit.id, hit]));
    const hits = [...new Map([...before, ...waiting.map((hit) => [hit.id, hit] as const)]).values()];
    crowd.ids = severalMails(hits);
    crowd.foundMs = performance.now();
    crowd.completeAt = now;
    this.#crowdLately = hits.filter(({ id, at }) => crowd.ids.has(id) && at.getTime() >= oldest);
    return crowd.ids;
  }

  private async judgeDue(
    manager: EntityManager,
    due: readonly { id: string; messageId: string; at: Date }[],
    crowd: ReadonlySet<string>,
  ): Promise<void> {
    const hits = await this.hitsAround(manager, due);
    const dueIds = new Set(due.map(({ id }) => id));
    const found = new Set(hits.map(({ id }) => id));
    await stopWaiting(
      manager,
      due.flatMap(({ id }) => (found.has(id) ? [] : [id])),
    );
    const verdicts = judgeByMail(hits).flatMap(({ hit, verdict }): NewVerdict[] => {
      const now = crowd.has(hit.id) && verdict.class !== 'scanner' ? SEVERAL_MAILS : verdict;
      const isDue = dueIds.has(hit.id);
      // A hit that was judged before, or whose moment is still to come, is only ever found out.
      if (!isDue && (now.class !== 'scanner' || hit.judged.class === 'scanner')) return [];
      const first = hit.settlesAt !== null && hit.judged.class === 'unknown';
      return [{ id: hit.id, ...now, replaces: first ? null : replaced(hit, now) }];
    });
    await updateVerdicts(manager, verdicts, HIT_RULE_VERSION);
    if (verdicts.some((verdict) => verdict.class === 'human'))
      await this.wake.notify(manager, 'sequences.advance-due');
  }

  /** False when there is nothing more to look at. */
  private async reclassifySome(manager: EntityManager): Promise<boolean> {
    await lockVerdicts(manager);
    const before = new Date(this.clock.now().getTime() - SETTLED_AFTER_MS);
    const { afterId } = await this.progress(manager);
    const page = await nextHits(manager, { afterId, before, limit: REJUDGE_AT_ONCE });
    const last = page.at(-1);
    if (!last) return false;
    const old = new Map(
      page.filter(({ ruleVersion }) => ruleVersion < HIT_RULE_VERSION).map((row) => [row.id, row]),
    );
    if (old.size > 0) {
      const hits = await this.hitsAround(manager, [...old.values()]);
      const verdicts = judgeByMail(hits.map(withFacts)).flatMap(({ hit, verdict }): NewVerdict[] => {
        if (!old.has(hit.id)) return [];
        // What came from several mails at once cannot be seen from one of them.
        const kept = hit.judged.reason === SEVERAL_MAILS.reason && verdict.class === 'human';
        const found = isForgotten(hit) ? hit.judged : kept ? SEVERAL_MAILS : verdict;
        return [{ id: hit.id, ...found, replaces: replaced(hit, found) }];
      });
      await updateVerdicts(manager, verdicts, HIT_RULE_VERSION);
      if (verdicts.some((verdict) => verdict.class === 'human'))
        await this.wake.notify(manager, 'sequences.advance-due');
    }
    await this.saveProgress(manager, { ruleVersion: HIT_RULE_VERSION, afterId: last.id });
    return page.length === REJUDGE_AT_ONCE;
  }

  /** What else came from the same mails at about the same time. Mails that were asked for in masses are dealt with here. */
  private async hitsAround(
    manager: EntityManager,
    some: readonly { messageId: string; at: Date }[],
  ): Promise<StoredHit[]> {
    const found = new Map<string, StoredHit>();
    for (const group of closeTogether(some))
      for (const hit of await this.hitsAroundMoment(manager, group)) found.set(hit.id, hit);
    return [...found.values()];
  }

  /** `some` lie within seconds: in a whole day many may well look at one mail that was passed on. */
  private async hitsAroundMoment(
    manager: EntityManager,
    some: readonly { messageId: string; at: Date }[],
  ): Promise<StoredHit[]> {
    const times = some.map(({ at }) => at.getTime());
    const window = {
      from: new Date(Math.min(...times) - LOOK_AROUND_MS),
      to: new Date(Math.max(...times) + LOOK_AROUND_MS),
    };
    const mails = new Set(some.map(({ messageId }) => messageId));
    const hammered = await hammeredMails(manager, [...mails], { ...window, most: MOST_HITS_OF_A_MAIL });
    const verdict = { reason: 'asked for in masses', ruleVersion: HIT_RULE_VERSION };
    await closeHammered(manager, hammered, { ...window, ...verdict });
    for (const id of hammered) mails.delete(id);
    return mails.size === 0 ? [] : hitsOfMails(manager, [...mails], window);
  }

  /** A release with other rules begins at the first hit. */
  private async progress(manager: EntityManager): Promise<Progress> {
    const value = await readSetting<Progress>(manager, PROGRESS);
    return value?.ruleVersion === HIT_RULE_VERSION ? value : { ruleVersion: HIT_RULE_VERSION, afterId: '0' };
  }

  private async saveProgress(manager: EntityManager, progress: Progress): Promise<void> {
    await putSetting(manager, PROGRESS, progress, this.clock.now());
  }
}

function isFresh({ foundMs }: Crowd): boolean {
  return performance.now() - foundMs <= CROWD_HOLDS_MS;
}

function judgeByMail(hits: readonly StoredHit[]): { hit: StoredHit; verdict: HitVerdict }[] {
  const mails = new Map<string, StoredHit[]>();
  for (const hit of hits) {
    const mail = mails.get(hit.messageId);
    if (mail) mail.push(hit);
    else mails.set(hit.messageId, [hit]);
  }
  return [...mails.values()].flatMap((mail) => {
    const verdicts = judgeMailHits(mail);
    return mail.flatMap((hit) => {
      const verdict = verdicts.get(hit.id);
      return verdict ? [{ hit, verdict }] : [];
    });
  });
}
