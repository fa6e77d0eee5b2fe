import { BROADCAST_CANCELLED } from '../../delivery/message/state-reasons.js';
import { audienceSchema, type Audience } from '../../broadcasts/audience.js';
import { topicOf, type Broadcast } from '../../broadcasts/broadcast.js';
import { priorityOf, USUAL_PRIORITY } from '../../delivery/message/message.js';
import type { FrozenOffer, SoldOffer } from '../../broadcasts/broadcast-offer.js';
import { broadcastBatch, timesAfterPause } from '../../broadcasts/broadcast-batch.js';
import { timingOf } from '../../broadcasts/broadcasts.schemas.js';
import { listsOf } from '../../broadcasts/audience-lists.js';
import { offerAgain, offersOf } from '../../broadcasts/offers-of-words.js';
import { armKey, checkArmHours, endOf, startOf, wordsOf } from '../../broadcasts/split.js';
import { decisionText } from '../../broadcasts/split-results.js';
import { isRepeated, nextState } from '../../broadcasts/broadcast-status.js';
import { beginOf, shiftAfterPause } from '../../broadcasts/timing.js';
import type { Condition } from '../../segments/condition.js';
import { DomainError } from '../../values/domain-error.js';
import { earliest } from './agenda.js';
import { actOf, type OwnerAct, type VirtualBroadcast } from './virtual-broadcasts.schemas.js';
import type { BroadcastOutcome } from './timeline.js';
import { toldOffer } from './virtual-promises.js';
import type { VirtualMail } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { isInAudience } from './virtual-segments.js';
import {
  advanceTest,
  awaitTried,
  guardTest,
  isOpen,
  isOpenFor,
  mailsOf,
  setDecision,
  testAt,
  type Campaign,
} from './virtual-split-tests.js';

/** No mail shows it: the timeline tells when mails go and to whom. */
const SENDER = { name: '', email: '', postalAddress: '' };

interface BroadcastOrder {
  broadcasts: readonly VirtualBroadcast[];
  segments: Readonly<Record<string, Condition>>;
  /** What the owner does about them, in the order of their times. */
  owner: readonly OwnerAct[];
  /** Those that they have paused: a mail of one is held when it comes up. Kept here. */
  paused: Set<string>;
  /** When the simulation begins. */
  start: Date;
  /** By which split tests draw. */
  idOf(this: void, broadcast: string): string;
  /** What the checkout sells. */
  sold: ReadonlyMap<string, SoldOffer>;
  /** The slug of the form. */
  form: string;
  /** The owner's. */
  zone: string;
}

/**
 * The broadcasts of a simulation, as their planner and their split tests run them: when each begins its audience is frozen,
 * every recipient has a mail with a time of their own, and when a test is over the rest gets what came of it. `runs` are
 * the people, in the order in which they came: it gives them their places in a spread.
 */
export class VirtualBroadcasts {
  readonly #campaigns: Campaign[] = [];
  readonly #acts: OwnerAct[];

  /** Throws `SIMULATION_INVALID` for one that can never reach all its readers. */
  constructor(
    private readonly order: BroadcastOrder,
    private readonly runs: readonly VirtualRun[],
  ) {
    for (const given of order.broadcasts) this.#campaigns.push(this.campaign(given));
    this.#acts = order.owner.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
    for (const act of this.#acts) this.checkTime(act);
  }

  /** When something is to be done next: one begins, a test is judged, or the owner comes in between. */
  nextAt(): Date | null {
    const act = this.#acts[0];
    return earliest([...this.#campaigns.map(todoAt), act === undefined ? null : new Date(act.at)]);
  }

  /** Throws `SIMULATION_INVALID` for what the owner's button would refuse. */
  run(now: Date): void {
    for (let act = this.#acts[0]; act !== undefined && new Date(act.at) <= now; act = this.#acts[0]) {
      this.#acts.shift();
      this.change(act, now);
    }
    for (const campaign of this.#campaigns) {
      const at = todoAt(campaign);
      if (at === null || at > now) continue;
      if (campaign.broadcast.startedAt === null) this.begin(campaign, now);
      else {
        advanceTest(campaign, this.runs, now);
        if (campaign.broadcast.state === 'paused') this.order.paused.add(campaign.given.key);
      }
    }
  }

  outcomes(): BroadcastOutcome[] {
    for (const campaign of this.#campaigns) this.complete(campaign);
    return this.#campaigns.map(
      ({ given, broadcast: { startedAt, decision, state, stoppedArms }, recipients }) => ({
        broadcast: given.key,
        beganAt: startedAt?.toISOString() ?? null,
        state,
        recipients,
        stoppedArms: stoppedArms.map(({ arm }) => armKey(arm)),
        decision: decision && {
          at: decision.at,
          arm: armKey(decision.arm),
          verdict: decision.verdict,
          text: decisionText(decision),
        },
      }),
    );
  }

  /** As `BroadcastsService.start`. */
  private campaign(given: VirtualBroadcast): Campaign {
    const { start, idOf, segments, sold } = this.order;
    const at = given.at === undefined ? null : new Date(given.at);
    const ownStart = given.startedAt === undefined ? null : new Date(given.startedAt);
    const startedBy = ownStart ?? (given.resendOf === undefined ? start : (at ?? start));
    const expiresAt = given.expiresAt === undefined ? null : new Date(given.expiresAt);
    const timing = timingOf(given);
    const isPast = at !== null && at < start && ownStart === null;
    const begins = isPast
      ? at
      : named(given.key, () => {
          checkArmHours({ ...given, template: given.email }, timing);
          return beginOf(timing, {
            ...startOf({ split: given.split ?? null, offer: given.offer, expiresAt }),
            at,
            now: startedBy,
          });
        });
    const labels = wordsOf({ ...given, template: given.email }).map(label);
    const { key, split = null, resendOf = null, offer = null } = given;
    const offers = named(key, () => offersOf({ ...given, template: given.email }, sold));
    const broadcast: Broadcast = {
      ...{ id: idOf(key), key, title: key, template: given.email, subject: given.subject ?? null },
      ...{ offer, offers: offers.length === 0 ? null : offers },
      ...{ templateId: labels[0] ?? '', armTemplateIds: split === null ? null : labels, split },
      ...{ audience: audienceOf(given), segments, sender: SENDER, topic: this.topicOfFirst(given) },
      priority: given.priority ?? USUAL_PRIORITY,
      ...{ state: 'scheduled', stateReason: null, scheduledAt: begins, timing, expiresAt },
      ...{ createdAt: startedBy, startedAt: null, plannedAt: null, endedAt: null, decideAt: null },
      ...{ pausedAt: null, letGoAt: null, reworded: null, rewordedAt: null },
      ...{ decision: null, resendOf, resentBy: null, cursor: '0', lastSubscriberId: null },
      ...{ planned: 0, withoutZone: 0, hourPassed: 0, stoppedArms: [], lookedAt: null },
    };
    return { given, broadcast, beginsAt: begins < start ? null : begins, recipients: 0, tried: [] };
  }

  /** A mail that is sent once more is about the same as the first. */
  private topicOfFirst({ resendOf }: VirtualBroadcast): string | null {
    const first = this.#campaigns.find(({ given }) => given.key === resendOf)?.broadcast;
    return first === undefined ? null : topicOf(first);
  }

  private listsFor(campaign: Campaign): string[][] {
    const first = this.#campaigns.find((one) => one.given.key === campaign.given.resendOf) ?? campaign;
    return listsOf(first.broadcast.audience, this.order.segments);
  }

  private offerOfFirst({ given, broadcast }: Campaign): void {
    const first = this.#campaigns.find((one) => one.given.key === given.resendOf)?.broadcast;
    const offer = first === undefined ? null : offerAgain(first);
    if (offer === null) return;
    const offers = named(given.key, () => {
      const at = given.at === undefined ? null : new Date(given.at);
      // What the start would have refused: its price must outlast its mails.
      beginOf(broadcast.timing ?? timingOf(given), {
        ...startOf({ ...broadcast, offer }),
        ...{ at, now: broadcast.createdAt },
      });
      return offersOf({ ...broadcast, offer }, this.order.sold);
    });
    Object.assign(broadcast, { offer, offers });
  }

  /** As `BroadcastPlanner`. */
  private begin(campaign: Campaign, now: Date): void {
    const { broadcast, given } = campaign;
    this.checkFirst(campaign);
    if (given.offer === undefined) this.offerOfFirst(campaign);
    Object.assign(broadcast, { startedAt: now, plannedAt: now, state: 'running' });
    // A pause has lasted for longer than its words are of any use.
    const end = endOf(broadcast);
    if (end !== null && end <= now) return;
    const { segments, form, zone } = this.order;
    const numberOf = (key: string): string =>
      String(this.#campaigns.findIndex((one) => one.given.key === key) + 1);
    const readers = this.runs.filter((run) =>
      isInAudience(run, broadcast.audience, { segments, now, zone, form, numberOf }),
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
    for (const [place, run] of readers.entries()) {
      const { record } = run;
      const shared = batch.shared[batch.mails.shared[place] ?? -1];
      if (shared === undefined) continue;
      const times = batch.times?.[place] ?? null;
      const dueAt = times?.dueAt ?? shared.dueAt;
      const mail: VirtualMail = {
        ...{
          kind: 'broadcast',
          enrollmentId: null,
          sequence: null,
          step: given.key,
          template: shared.templateId,
        },
        ...{ priority: priorityOf(shared), dueAt, sentAt: null },
        ...{ expiresAt: times?.expiresAt ?? shared.expiresAt ?? null, hours: shared.hours ?? null },
        ...{
          state:
            shared.withheldFor !== undefined ? 'cancelled' : shared.heldFor === undefined ? 'ready' : 'held',
          heldFor: shared.heldFor === undefined ? null : 'test',
          opened: false,
          clicked: false,
          hits: [],
        },
        ...{ topic: shared.funnelKey, arm: shared.arm ?? null },
        offer: toldOffer(run, offerAt(broadcast, shared.arm), { now, dueAt }),
        isHeldOut: shared.withheldFor !== undefined,
        lists: this.listsFor(campaign),
      };
      record.mails.push(mail);
      if (shared.withheldFor !== undefined)
        run.tell(now, { what: 'cancelled', step: given.key, reason: shared.withheldFor });
      if (mail.state === 'ready') campaign.tried.push({ run, mail });
    }
    setDecision(campaign, now);
  }

  /** As `BroadcastsService.pause`, `resume` and `cancel`. */
  private change(act: OwnerAct, now: Date): void {
    const { key, action } = actOf(act);
    const campaign = this.#campaigns.find(({ given }) => given.key === key);
    if (campaign === undefined) return;
    const { broadcast } = campaign;
    this.complete(campaign);
    if (isRepeated(broadcast, action)) return;
    const state = nextState(broadcast, action);
    if (state === null)
      throw invalid(
        key,
        `owner: it is ${broadcast.state} at ${now.toISOString()}; it cannot be changed by "${action}"`,
      );
    const isBegun = broadcast.startedAt !== null;
    broadcast.state = state;
    if (action === 'pause') {
      broadcast.pausedAt = now;
      this.order.paused.add(key);
      if (isBegun) awaitTried(campaign);
      return;
    }
    if (action === 'resume' && isBegun && !guardTest(campaign, this.runs, now)) return;
    this.order.paused.delete(key);
    const own = this.runs.flatMap((run) => mailsOf(run, key).map((mail) => ({ run, mail })));
    if (action === 'cancel') {
      for (const { run, mail } of own) if (isOpen(mail)) cancelMail(run, mail, now);
      return;
    }
    const held = own.filter(({ mail }) => mail.heldFor === 'broadcast');
    const firstDueAt = earliest(held.map(({ mail }) => mail.dueAt));
    const shiftMs = shiftAfterPause(broadcast, { firstDueAt, now });
    for (const { run, mail } of held) {
      const { timeZone } = run.record;
      const times = timesAfterPause(broadcast, { ...mail, timeZone, now, shiftMs });
      Object.assign(mail, { state: 'ready', heldFor: null, isPutOff: false, ...times });
    }
    if (!isBegun) {
      const begins = new Date(Math.max(now.getTime(), campaign.beginsAt?.getTime() ?? 0));
      Object.assign(broadcast, { scheduledAt: begins });
      if (campaign.beginsAt !== null) campaign.beginsAt = begins;
    } else if (broadcast.decideAt === null) setDecision(campaign, now);
    else if (broadcast.decideAt < now) broadcast.decideAt = now;
  }

  /** As `BroadcastUpkeep`: one that has no open mails is done. */
  private complete({ broadcast, given }: Campaign): void {
    if (broadcast.state !== 'running' || isOpenFor(this.runs, given.key)) return;
    broadcast.state = nextState(broadcast, 'complete') ?? broadcast.state;
  }

  /** Nobody changes what they have not started. */
  private checkTime(act: OwnerAct): void {
    const { key } = actOf(act);
    const own = this.#campaigns.find(({ given }) => given.key === key)?.broadcast;
    const from = own === undefined || own.createdAt < this.order.start ? this.order.start : own.createdAt;
    if (new Date(act.at) >= from) return;
    throw invalid(key, `owner: at ${act.at} it is not started yet; that is ${from.toISOString()}`);
  }

  /** As `BroadcastResends`: all mails of the first one are on their way when the owner starts the second. */
  private checkFirst({ given, broadcast }: Campaign): void {
    if (given.resendOf === undefined) return;
    const first = this.#campaigns.find((one) => one.given.key === given.resendOf)?.broadcast;
    const { startedAt = null, split = null, decision = null, state = 'draft' } = first ?? {};
    const underWay =
      (state === 'running' || state === 'done') &&
      startedAt !== null &&
      startedAt <= broadcast.createdAt &&
      (split === null ||
        (decision === null
          ? !isOpenFor(this.runs, given.resendOf)
          : new Date(decision.at) <= broadcast.createdAt));
    if (underWay) return;
    throw invalid(
      given.key,
      `resendOf: "${given.resendOf}" can be sent once more when all of its mails are on their way${split === null ? '' : ', which is after its split test'}; they are not yet at ${broadcast.createdAt.toISOString()}`,
    );
  }
}

function todoAt(campaign: Campaign): Date | null {
  const { beginsAt, broadcast } = campaign;
  const { startedAt, state } = broadcast;
  if (state === 'paused' || state === 'cancelled') return null;
  return startedAt === null ? beginsAt : testAt(campaign);
}

function cancelMail(run: VirtualRun, mail: VirtualMail, now: Date): void {
  Object.assign(mail, { state: 'cancelled', heldFor: null });
  run.tell(now, { what: 'cancelled', step: mail.step ?? '', reason: BROADCAST_CANCELLED });
}

function audienceOf({ tags, segments, funnel, resendOf, unless = 'opened' }: VirtualBroadcast): Audience {
  if (resendOf !== undefined) return { resendOf, unless };
  const filter = { tags, segments, funnel };
  const isEverybody = Object.values(filter).every((part) => part === undefined);
  return audienceSchema.parse(isEverybody ? { everybody: true } : filter);
}

/** What the mail of an arm, or of a broadcast without a test, offers; what waits for the test gets the offer of its winner. */
function offerAt({ offers, split }: Broadcast, arm: number | undefined): FrozenOffer | null {
  const place = split === null ? 0 : arm;
  return offers?.find((one) => one.place === place) ?? null;
}

/** The mail, and its subject where that is another than the mail's own. */
function label({ template, subject }: { template: string; subject: string | null }): string {
  return subject === null ? template : `${template}, “${subject}”`;
}

function named<T>(key: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DomainError) throw invalid(key, error.message);
    throw error;
  }
}

function invalid(key: string, message: string): DomainError {
  return new DomainError('SIMULATION_INVALID', `broadcasts: "${key}": ${message}`, { broadcast: key });
}
