import { timeOfArm, timesAfterTest } from '../../broadcasts/broadcast-batch.js';
import type { Broadcast } from '../../broadcasts/broadcast.js';
import { armInstead, givenArm, isTimed, marksToGive, type Split } from '../../broadcasts/split.js';
import { decisionOf, lookAt, newBreaches, type ArmFigures } from '../../broadcasts/split-results.js';
import { earliest } from './agenda.js';
import type { VirtualBroadcast } from './virtual-broadcasts.schemas.js';
import { toldOffer } from './virtual-promises.js';
import type { VirtualMail } from './virtual-record.js';
import { refundedMinor } from './virtual-refunds.js';
import type { VirtualRun } from './virtual-run.js';
import { MINUTE_MS } from '../../values/time-units.js';

/** A broadcast on its way. */
export interface Campaign {
  given: VirtualBroadcast;
  broadcast: Broadcast;
  /** Null: before the simulation, when nobody is there. */
  beginsAt: Date | null;
  recipients: number;
  /** The mails of its split test. */
  tried: { run: VirtualRun; mail: VirtualMail }[];
}

/** When its test is judged, or its guard rails are looked at while mails of it are on their way. */
export function testAt(campaign: Campaign): Date | null {
  const { split, decision, decideAt } = campaign.broadcast;
  return split === null || decision !== null ? null : earliest([decideAt, nextLook(campaign)]);
}

/** Every mail goes, is held back or is given up the moment it is due, so that is when it has been tried. */
export function setDecision({ broadcast, tried }: Campaign, now: Date): void {
  const { split } = broadcast;
  if (split === null) return;
  const times = tried.filter(({ mail }) => isToBeTried(mail)).map(({ mail }) => mail.dueAt.getTime());
  broadcast.decideAt = new Date(Math.max(now.getTime(), ...times) + split.waitMinutes * MINUTE_MS);
}

/** At a pause: whoever has not been tried yet is tried after it, and judged still later. */
export function awaitTried({ broadcast, tried }: Pick<Campaign, 'broadcast' | 'tried'>): void {
  if (tried.some(({ mail }) => isToBeTried(mail))) broadcast.decideAt = null;
}

/** As `SplitQueries.isBeingTried`; nobody waits for one that has been put off. */
function isToBeTried({ state, heldFor, isPutOff = false }: VirtualMail): boolean {
  return (state === 'ready' || heldFor === 'broadcast') && !isPutOff;
}

/** As `SplitTests`: looks at the guard rails, and judges a test whose time is up. */
export function advanceTest(campaign: Campaign, runs: readonly VirtualRun[], now: Date): void {
  const { broadcast } = campaign;
  const { split, decideAt } = broadcast;
  if (split === null) return;
  if (decideAt !== null && decideAt <= now) judge(campaign, split, { runs, now });
  else if (guardTest(campaign, runs, now) && broadcast.stoppedArms.length > 0) setDecision(campaign, now);
}

/** As `SplitTests.guard`. False: no arm is left, and the broadcast waits for the owner's word. */
export function guardTest(campaign: Campaign, runs: readonly VirtualRun[], now: Date): boolean {
  const { split } = campaign.broadcast;
  if (split === null) return true;
  const at = nextLook(campaign);
  if (at !== null && at <= now && stop(campaign, figuresOf(campaign, split, { runs, now }), now))
    return false;
  giveAway(campaign, split, now);
  return true;
}

/** Null: nothing is to be looked for. */
function nextLook({ broadcast, tried }: Campaign): Date | null {
  const { split, decision } = broadcast;
  if (split === null || decision !== null || !tried.some(({ mail }) => isToBeTried(mail))) return null;
  return lookAt({ ...broadcast, split });
}

/** As `BroadcastUpkeep.armsStopped`. True: no arm is left, and the broadcast waits for the owner's word. */
function stop({ broadcast, given, tried }: Campaign, figures: readonly ArmFigures[], now: Date): boolean {
  const { split, stoppedArms } = broadcast;
  if (split === null) return false;
  const found = newBreaches({ split, figures, stopped: stoppedArms });
  stoppedArms.push(...found.map((breach) => ({ ...breach, at: now.toISOString() })));
  broadcast.lookedAt = now;
  if (found.length === 0 || stoppedArms.length < split.arms.length) return false;
  Object.assign(broadcast, {
    state: 'paused',
    stateReason: `each arm of ${given.key} broke a guard rail`,
  });
  awaitTried({ broadcast, tried });
  return true;
}

/** As `SplitMails.giveAway`. */
function giveAway({ broadcast, tried }: Campaign, split: Split, now: Date): void {
  const { id, stoppedArms, armTemplateIds } = broadcast;
  const stopped = new Set(stoppedArms.map(({ arm }) => arm));
  const marks = new Set(marksToGive({ split, stopped }));
  for (const { run, mail } of tried) {
    if (mail.arm === null || !marks.has(mail.arm) || (mail.state !== 'ready' && mail.state !== 'held'))
      continue;
    const arm = armInstead({ id, split, stopped }, run.record.personId);
    const { timeZone } = run.record;
    const dueAt = timeOfArm(broadcast, arm, { arm: mail.arm, timeZone, dueAt: mail.dueAt, now });
    const offer = broadcast.offers?.find(({ place }) => place === arm);
    Object.assign(mail, {
      ...{ arm: givenArm(arm), template: armTemplateIds?.[arm] ?? mail.template },
      offer: toldOffer(run, offer, { now, dueAt }),
      dueAt,
    });
  }
}

function judge(
  campaign: Campaign,
  split: Split,
  { runs, now }: { runs: readonly VirtualRun[]; now: Date },
): void {
  const { broadcast, given } = campaign;
  if (!isOpenFor(runs, given.key)) {
    // Everybody was in the test: the broadcast is done, and there is nothing to decide.
    broadcast.decideAt = null;
    return;
  }
  const firstMs = firstOfNone(campaign);
  if (firstMs !== null) {
    broadcast.decideAt = new Date(Math.max(now.getTime(), firstMs) + split.waitMinutes * MINUTE_MS);
    return;
  }
  const figures = figuresOf(campaign, split, { runs, now });
  if (stop(campaign, figures, now)) return;
  const decision = decisionOf({ split, figures, stopped: broadcast.stoppedArms }, now);
  broadcast.decision = decision;
  giveAway(campaign, split, now);
  const offer = broadcast.offers?.find(({ place }) => place === decision.arm);
  for (const run of runs)
    for (const mail of run.record.mails) {
      if (mail.kind !== 'broadcast' || mail.heldFor !== 'test' || mail.step !== given.key) continue;
      const { dueAt, expiresAt } = timesAfterTest(
        { ...broadcast, decision },
        { timeZone: run.record.timeZone, dueAt: mail.dueAt },
      );
      Object.assign(mail, {
        ...{ state: 'ready', heldFor: null, dueAt },
        template: broadcast.armTemplateIds?.[decision.arm] ?? mail.template,
        offer: toldOffer(run, offer, { now, dueAt }),
        expiresAt: expiresAt ?? mail.expiresAt,
      });
    }
}

/** As `SplitTests.decisionTime`: while none of the test has gone, those that are put off are waited for. Null: nothing is. */
function firstOfNone({ tried }: Campaign): number | null {
  const open = tried.flatMap(({ mail }) => (isOpen(mail) ? mail.dueAt.getTime() : []));
  return open.length === 0 || tried.some(({ mail }) => mail.sentAt !== null) ? null : Math.min(...open);
}

export function isOpenFor(runs: readonly VirtualRun[], key: string): boolean {
  return runs.some((run) => mailsOf(run, key).some(isOpen));
}

export function mailsOf({ record }: VirtualRun, key: string): VirtualMail[] {
  return record.mails.filter(({ kind, step }) => kind === 'broadcast' && step === key);
}

export function isOpen({ state }: VirtualMail): boolean {
  return state === 'ready' || state === 'held';
}

/** As `SplitQueries.figures`; nobody complains here. */
function figuresOf(
  { given: { key } }: Campaign,
  split: Split,
  { runs, now }: { runs: readonly VirtualRun[]; now: Date },
): ArmFigures[] {
  return split.arms.map((_, arm) => {
    const figures: ArmFigures = {
      ...{ arm, people: 0, reached: 0, sent: 0, clickers: 0, revenueMinor: 0 },
      ...{ unsubscribes: 0, complaints: 0, capped: [] },
    };
    const capped = new Map<number, number>();
    for (const run of runs) {
      const [mail] = mailsOf(run, key);
      if (mail?.arm === arm) count(figures, capped, { run, mail, split, now });
    }
    figures.capped = [...capped].map(([amountMinor, readers]) => ({ amountMinor, readers }));
    return figures;
  });
}

function count(
  figures: ArmFigures,
  capped: Map<number, number>,
  { run: { record }, mail, split, now }: { run: VirtualRun; mail: VirtualMail; split: Split; now: Date },
): void {
  const { sentAt } = mail;
  const { revenueCap } = split;
  const areTimed = isTimed(split);
  if (sentAt === null) {
    if (!areTimed) return;
    figures.people++;
    if (record.status !== 'active' || record.pausedUntil !== null) figures.reached++;
    return;
  }
  const isCounted = (at: Date): boolean =>
    at <= now && (!areTimed || at.getTime() <= sentAt.getTime() + split.waitMinutes * MINUTE_MS);
  figures.people++;
  figures.reached++;
  figures.sent++;
  if (mail.hits.some(({ kind, at }) => kind === 'click' && isCounted(at))) figures.clickers++;
  if (record.status === 'unsubscribed') figures.unsubscribes++;
  const paid = record.orders
    .filter(({ total, paidAt, refunded }) =>
      [total.currency === revenueCap?.currency, paidAt >= sentAt, isCounted(paidAt), !refunded].every(
        Boolean,
      ),
    )
    .reduce((sum, { total, lines }) => sum + total.amountMinor - refundedMinor(lines), 0);
  if (paid <= 0 || revenueCap === undefined) return;
  figures.revenueMinor += paid;
  const counted = Math.min(paid, revenueCap.amountMinor);
  capped.set(counted, (capped.get(counted) ?? 0) + 1);
}
