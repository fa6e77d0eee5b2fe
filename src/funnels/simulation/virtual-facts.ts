import { domainOf } from '../../values/email-address.js';
import type { Answers } from '../../sequences/advance/advance-batch.js';
import { isRunning } from '../../orders/memberships/membership.js';
import { HOLDOUT } from '../../segments/held-out.js';
import { drawnAtFirst } from '../../experiments/experiment-terms.js';
import {
  boughtTag,
  fieldHolds,
  wasSo,
  type EventsSince,
  type FieldValue,
  type StepOutcome,
} from '../../sequences/steps/condition.js';
import { armOutcome, testAt } from '../../sequences/steps/definition.js';
import { needKey, type Need } from '../../sequences/steps/prepared.js';
import { promisedTo } from './virtual-promises.js';
import { turnAt, type VirtualEnrollment, type VirtualRecord } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { nodeOf } from './virtual-sequences.js';

/** What `loadAnswers` reads from the database, read from the record of one person. */
export function answersFrom(
  run: VirtualRun,
  asks: readonly { row: { id: string; zone: string }; need: Need }[],
  now: Date,
): Answers {
  const answers = new Map<string, Map<string, unknown>>();
  for (const { row, need } of asks) {
    const own = answers.get(row.id) ?? new Map<string, unknown>();
    answers.set(row.id, own);
    own.set(needKey(need), answer(run, row.id, { need, now, zone: row.zone }));
  }
  return answers;
}

function answer(
  run: VirtualRun,
  enrollmentId: string,
  { need, now, zone }: { need: Need; now: Date; zone: string },
): unknown {
  const { record } = run;
  switch (need.kind) {
    case 'clicked':
    case 'opened': {
      const mail = record.mails.find((one) => one.enrollmentId === enrollmentId && one.step === need.step);
      return mail !== undefined && (need.kind === 'clicked' ? mail.clicked : mail.opened);
    }
    case 'tag':
      return record.tags.has(need.tag);
    case 'untagged':
    case 'unlisted':
      return false;
    case 'list':
      return record.lists.has(need.list);
    case 'refunded':
      return isGivenBack(record, need.product);
    case 'purchased':
      return record.tags.has(boughtTag(need.product));
    case 'member':
      return record.memberships.get(need.product)?.now.state === need.state;
    case 'memberEnd':
      return record.memberships.get(need.product)?.now.endsAt?.toISOString() ?? null;
    case 'affiliate':
      return cameBy(record, need.whose);
    case 'event':
      return heardOf(run, enrollmentId, need);
    case 'step':
      return stepWas(record, enrollmentId, need);
    case 'split':
      return isOnArm(run, enrollmentId, need);
    case 'field':
      return fieldHolds(need, fieldOf(record, need.field), { now, zone });
    case 'promise':
      return promisedTo(run, need.offer, now);
    case 'owned': {
      const product = run.funnels.offers.get(need.offer)?.product.key;
      return product !== undefined && ownsVirtually(record, product, now) ? product : null;
    }
    case 'arm':
      // The place names its test here: it is not edited, and has one form.
      return {
        ...drawnAtFirst(need.split, record.personId),
        ...{ experimentId: need.split.test, isNew: !record.arms.has(need.split.test) },
      };
    case 'date':
      return fieldOf(record, need.field);
    default:
      return need satisfies never;
  }
}

/** As `eventAnswers`. */
function heardOf(
  run: VirtualRun,
  enrollmentId: string,
  { event, since }: Extract<Need, { kind: 'event' }>,
): boolean | number {
  const own = run.record.enrollments.find(({ id }) => id === enrollmentId);
  if (own === undefined) return false;
  if (run.decide?.(own, event) === true) return true;
  const heard = run.record.events
    .filter((one) => one.name === event && isSince(run, own, one) && isNews(own, since, one.at))
    .map(({ at }) => at.getTime());
  return since === undefined || heard.length === 0 ? heard.length > 0 : Math.min(...heard);
}

/** As `HEARD_FIRST` in `eventAnswers`. */
function isSince(
  { funnels }: VirtualRun,
  { sequence, startedAt }: VirtualEnrollment,
  { name, at }: { name: string; at: Date },
): boolean {
  if (at.getTime() !== startedAt.getTime()) return at > startedAt;
  const begins = funnels.versions.get(sequence)?.sequence.definition.enterOn ?? [];
  return !begins.some((trigger) => trigger.kind === 'event' && trigger.event === name);
}

/** As `SINCE` there. */
function isNews(own: VirtualEnrollment, since: EventsSince | undefined, at: Date): boolean {
  if (since === undefined) return true;
  const from = since === 'step' ? (own.cameAt ?? own.nextAt) : turnAt(own);
  return from === null || from <= own.startedAt || at > from;
}

/** As `GIVEN_BACK` in `loadAnswers`. */
function isGivenBack({ orders, tags }: VirtualRecord, product: string): boolean {
  const isBack = orders.some(({ lines }) =>
    lines.some(({ id, isTakenBack }) => id === product && isTakenBack),
  );
  return isBack && !tags.has(boughtTag(product));
}

/** As `ownsSql`. */
export function ownsVirtually({ tags, memberships }: VirtualRecord, product: string, now: Date): boolean {
  const membership = memberships.get(product)?.now;
  return membership === undefined ? tags.has(boughtTag(product)) : isRunning(membership, now);
}

/** As `SENT_BY` in `loadAnswers`. */
function cameBy({ affiliate, isAffiliate }: VirtualRecord, whose: string): boolean {
  if (whose === 'self') return isAffiliate;
  if (whose === 'any' || whose === 'none') return (affiliate !== null) === (whose === 'any');
  return affiliate === whose;
}

function stepWas(
  record: VirtualRecord,
  enrollmentId: string,
  { step, was }: { step: string; was: StepOutcome },
): boolean {
  const outcome = record.outcomes.get(enrollmentId)?.get(step);
  if (outcome !== undefined && wasSo(outcome, was)) return true;
  const mail = record.mails.find((one) => one.enrollmentId === enrollmentId && one.step === step);
  if (mail === undefined) return false;
  return was === (mail.state === 'cancelled' ? 'skipped' : 'ran');
}

/** As `onArm` in `loadAnswers`. */
function isOnArm(
  run: VirtualRun,
  enrollmentId: string,
  { step, arm, sequence }: { step: string; arm: string; sequence?: string },
): boolean {
  const { record, funnels } = run;
  if (sequence !== undefined) {
    const last = record.enrollments.findLast(
      (one) => one.sequence === sequence && hasBeenDrawn(record, one.id, step),
    );
    return last !== undefined && isOnArm(run, last.id, { step, arm });
  }
  if (record.outcomes.get(enrollmentId)?.get(step) === armOutcome(arm)) return true;
  const mail = record.mails.find((one) => one.enrollmentId === enrollmentId && one.step === step);
  const node = nodeOf(funnels, mail?.sequence ?? '', step);
  const test = node === undefined ? undefined : testAt(node);
  if (mail === undefined || mail.state === 'cancelled' || test === undefined) return false;
  return drawnAtFirst(test, record.personId).arm === arm;
}

function hasBeenDrawn({ outcomes, mails }: VirtualRecord, id: string, step: string): boolean {
  const outcome = outcomes.get(id)?.get(step);
  if (outcome === HOLDOUT || outcome?.startsWith(armOutcome('')) === true) return true;
  return mails.some((mail) => mail.enrollmentId === id && mail.step === step && mail.state !== 'cancelled');
}

/** As `fieldValues` in `loadAnswers`: text, whatever its type. */
function fieldOf(record: VirtualRecord, field: string): string | null {
  const { email, name, timeZone, locale } = record;
  const columns: Readonly<Record<string, FieldValue | null>> = {
    ...{ email, emailDomain: domainOf(email), name, timeZone, locale },
  };
  const value = Object.hasOwn(columns, field) ? columns[field] : record.fields[field];
  return value === undefined || value === null ? null : String(value);
}
