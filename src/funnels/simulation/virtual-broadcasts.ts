import { audienceSchema, type Audience } from '../../broadcasts/audience.js';
import { topicOf, type Broadcast } from '../../broadcasts/broadcast.js';
import { broadcastBatch, timesAfterTest } from '../../broadcasts/broadcast-batch.js';
import { timingOf } from '../../broadcasts/broadcasts.schemas.js';
import {
  armKey,
  decisionOf,
  decisionText,
  wordsOf,
  type ArmFigures,
  type Split,
} from '../../broadcasts/split.js';
import { beginOf } from '../../broadcasts/timing.js';
import type { Condition } from '../../segments/condition.js';
import { DomainError } from '../../values/domain-error.js';
import { earliest } from './agenda.js';
import type { VirtualBroadcast } from './broadcasts.schemas.js';
import type { BroadcastOutcome } from './timeline.js';
import type { VirtualMail } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { isInAudience } from './virtual-segments.js';

/** As the ledger has it. */
const USUAL_PRIORITY = 5;
const MINUTE_MS = 60_000;
/** No mail shows it: the timeline tells when mails go and to whom. */
const SENDER = { name: '', email: '', postalAddress: '' };

/** A broadcast on its way. */
interface Campaign {
  given: VirtualBroadcast;
  broadcast: Broadcast;
  /** Null: before the simulation, when nobody is there. */
  beginsAt: Date | null;
  recipients: number;
}

export interface BroadcastOrder {
  broadcasts: readonly VirtualBroadcast[];
  segments: Readonly<Record<string, Condition>>;
  /** When the simulation begins. */
  start: Date;
  /** By which split tests draw. */
  idOf(this: void, broadcast: string): string;
  /** The slug of the form. */
  form: string;
}

/**
 * The broadcasts of a simulation, as their planner and their split tests run them: when each begins its audience is frozen,
 * every recipient has a mail with a time of their own, and when a test is over the rest gets what came of it. `runs` are
 * the people, in the order in which they came: it gives them their places in a spread.
 */
export class VirtualBroadcasts {
  readonly #campaigns: Campaign[] = [];

  /** Throws `SIMULATION_INVALID` for one that can never reach all its readers. */
  constructor(
    private readonly order: BroadcastOrder,
    private readonly runs: readonly VirtualRun[],
  ) {
    for (const given of order.broadcasts) this.#campaigns.push(this.campaign(given));
  }

  /** When something is to be done next: one begins, or a test is judged. */
  nextAt(): Date | null {
    return earliest(this.#campaigns.map(todoAt));
  }

  run(now: Date): void {
    for (const campaign of this.#campaigns) {
      const at = todoAt(campaign);
      if (at === null || at > now) continue;
      if (campaign.broadcast.startedAt === null) this.begin(campaign, now);
      else this.judge(campaign, now);
    }
  }

  outcomes(): BroadcastOutcome[] {
    return this.#campaigns.map(({ given, broadcast: { startedAt, decision }, recipients }) => ({
      broadcast: given.key,
      beganAt: startedAt?.toISOString() ?? null,
      recipients,
      decision: decision && {
        at: decision.at,
        arm: armKey(decision.arm),
        verdict: decision.verdict,
        text: decisionText(decision),
      },
    }));
  }

  /** As `BroadcastsService.start`. */
  private campaign(given: VirtualBroadcast): Campaign {
    const { start, idOf, segments } = this.order;
    const at = given.at === undefined ? null : new Date(given.at);
    const ownStart = given.startedAt === undefined ? null : new Date(given.startedAt);
    const startedBy = ownStart ?? (given.resendOf === undefined ? start : (at ?? start));
    const expiresAt = given.expiresAt === undefined ? null : new Date(given.expiresAt);
    const timing = timingOf(given);
    const isPast = at !== null && at < start && ownStart === null;
    const begins = isPast
      ? at
      : beginNamed(given.key, () =>
          beginOf(timing, { at, now: startedBy, expiresAt, waitMinutes: given.split?.waitMinutes }),
        );
    const labels = wordsOf({ ...given, template: given.email }).map(label);
    const { key, split = null, resendOf = null } = given;
    const broadcast: Broadcast = {
      ...{ id: idOf(key), key, title: key, template: given.email, subject: given.subject ?? null },
      ...{ templateId: labels[0] ?? '', armTemplateIds: split === null ? null : labels, split },
      ...{ audience: audienceOf(given), segments, sender: SENDER, topic: this.topicOfFirst(given) },
      ...{ state: 'scheduled', stateReason: null, scheduledAt: begins, timing, expiresAt },
      ...{ createdAt: startedBy, startedAt: null, plannedAt: null, endedAt: null, decideAt: null },
      ...{ decision: null, resendOf, resentBy: null, cursor: '0', lastSubscriberId: null },
      ...{ planned: 0, withoutZone: 0, hourPassed: 0 },
    };
    return { given, broadcast, beginsAt: begins < start ? null : begins, recipients: 0 };
  }

  /** A mail that is sent once more is about the same as the first. */
  private topicOfFirst({ resendOf }: VirtualBroadcast): string | null {
    const first = this.#campaigns.find(({ given }) => given.key === resendOf)?.broadcast;
    return first === undefined ? null : topicOf(first);
  }

  /** As `BroadcastPlanner`. */
  private begin(campaign: Campaign, now: Date): void {
    const { broadcast, given } = campaign;
    this.checkFirst(campaign);
    broadcast.startedAt = now;
    const { segments, form } = this.order;
    const numberOf = (key: string): string =>
      String(this.#campaigns.findIndex((one) => one.given.key === key) + 1);
    const readers = this.runs.filter((run) =>
      isInAudience(run, broadcast.audience, { segments, now, form, numberOf }),
    );
    campaign.recipients = readers.length;
    const { batch } = broadcastBatch(
      broadcast,
      {
        ids: readers.map(({ record }) => record.personId),
        emails: readers.map(() => ''),
        emailKeys: readers.map(() => ''),
        timeZones: readers.map(({ record }) => record.timeZone),
      },
      0,
    );
    const tried = [now];
    for (const [place, { record }] of readers.entries()) {
      const shared = batch.shared[batch.mails.shared[place] ?? -1];
      if (shared === undefined) continue;
      const times = batch.times?.[place] ?? null;
      const mail: VirtualMail = {
        ...{
          kind: 'broadcast',
          enrollmentId: null,
          sequence: null,
          step: given.key,
          template: shared.templateId,
        },
        ...{ priority: shared.priority ?? USUAL_PRIORITY, dueAt: times?.dueAt ?? shared.dueAt, sentAt: null },
        ...{ expiresAt: times?.expiresAt ?? shared.expiresAt ?? null, hours: null },
        ...{
          state: shared.heldFor === undefined ? 'ready' : 'held',
          opened: false,
          clicked: false,
          hits: [],
        },
        ...{ topic: shared.funnelKey, arm: shared.arm ?? null },
      };
      record.mails.push(mail);
      if (mail.state === 'ready') tried.push(mail.dueAt);
    }
    // Every mail goes, is held back or is given up the moment it is due.
    const { split } = broadcast;
    if (split !== null)
      broadcast.decideAt = new Date(
        Math.max(...tried.map((at) => at.getTime())) + split.waitMinutes * MINUTE_MS,
      );
  }

  /** As `BroadcastResends`: all mails of the first one are on their way when the owner starts the second. */
  private checkFirst({ given, broadcast }: Campaign): void {
    if (given.resendOf === undefined) return;
    const first = this.#campaigns.find((one) => one.given.key === given.resendOf)?.broadcast;
    const { startedAt = null, split = null, decision = null } = first ?? {};
    const underWay =
      startedAt !== null &&
      startedAt <= broadcast.createdAt &&
      (split === null ||
        (decision === null ? !this.isOpen(given.resendOf) : new Date(decision.at) <= broadcast.createdAt));
    if (underWay) return;
    throw invalid(
      given.key,
      `resendOf: "${given.resendOf}" can be sent once more when all of its mails are on their way${split === null ? '' : ', which is after its split test'}; they are not yet at ${broadcast.createdAt.toISOString()}`,
    );
  }

  /** As `SplitTests`. */
  private judge({ broadcast, given }: Campaign, now: Date): void {
    const { split, armTemplateIds } = broadcast;
    if (split === null) return;
    if (!this.isOpen(given.key)) {
      // Everybody was in the test: the broadcast is done, and there is nothing to decide.
      broadcast.decideAt = null;
      return;
    }
    const decision = decisionOf(split, this.figures(given.key, split, now), now);
    broadcast.decision = decision;
    for (const { record } of this.runs)
      for (const mail of record.mails) {
        if (mail.state !== 'held' || mail.step !== given.key) continue;
        const { dueAt, expiresAt } = timesAfterTest(
          { ...broadcast, decision },
          { timeZone: record.timeZone, dueAt: mail.dueAt },
        );
        Object.assign(mail, {
          ...{ state: 'ready', template: armTemplateIds?.[decision.arm] ?? mail.template, dueAt },
          expiresAt: expiresAt ?? mail.expiresAt,
        });
      }
  }

  private isOpen(key: string): boolean {
    const isOwn = ({ kind, step, state }: VirtualMail): boolean =>
      kind === 'broadcast' && step === key && (state === 'ready' || state === 'held');
    return this.runs.some(({ record }) => record.mails.some(isOwn));
  }

  /** As `SplitQueries.figures`. */
  private figures(key: string, { arms, revenueCap }: Split, now: Date): ArmFigures[] {
    return arms.map((_, arm) => {
      const figures = { arm, sent: 0, clickers: 0, revenueMinor: 0 };
      const capped = new Map<number, number>();
      for (const { record } of this.runs) {
        const mail = record.mails.find((one) => one.kind === 'broadcast' && one.step === key);
        if (mail?.arm !== arm || mail.sentAt === null) continue;
        figures.sent++;
        if (mail.hits.some(({ kind, at }) => kind === 'click' && at <= now)) figures.clickers++;
        const { sentAt } = mail;
        const paid = record.orders
          .filter(({ total, paidAt, refunded }) =>
            [total.currency === revenueCap?.currency, paidAt >= sentAt, paidAt <= now, !refunded].every(
              Boolean,
            ),
          )
          .reduce((sum, { total }) => sum + total.amountMinor, 0);
        if (paid === 0 || revenueCap === undefined) continue;
        figures.revenueMinor += paid;
        const counted = Math.min(paid, revenueCap.amountMinor);
        capped.set(counted, (capped.get(counted) ?? 0) + 1);
      }
      return {
        ...figures,
        capped: [...capped].map(([amountMinor, readers]) => ({ amountMinor, readers })),
      };
    });
  }
}

function todoAt({ beginsAt, broadcast: { startedAt, decideAt, decision } }: Campaign): Date | null {
  if (startedAt === null) return beginsAt;
  return decision === null ? decideAt : null;
}

function audienceOf({ tags, segments, funnel, resendOf, unless = 'opened' }: VirtualBroadcast): Audience {
  if (resendOf !== undefined) return { resendOf, unless };
  const filter = { tags, segments, funnel };
  const isEverybody = Object.values(filter).every((part) => part === undefined);
  return audienceSchema.parse(isEverybody ? { everybody: true } : filter);
}

/** The mail, and its subject where that is another than the mail's own. */
function label({ template, subject }: { template: string; subject: string | null }): string {
  return subject === null ? template : `${template}, “${subject}”`;
}

function beginNamed(key: string, begin: () => Date): Date {
  try {
    return begin();
  } catch (error) {
    if (error instanceof DomainError) throw invalid(key, error.message);
    throw error;
  }
}

function invalid(key: string, message: string): DomainError {
  return new DomainError('SIMULATION_INVALID', `broadcasts: "${key}": ${message}`, { broadcast: key });
}
