import { timeZoneOr } from '../../values/zoned-time.js';
import type { Had } from '../steps/had-steps.js';
import { needsFrom, type Need, type PreparedSequence } from '../steps/prepared.js';
import type { Facts } from '../steps/progress.js';
import { HOUR_MS } from '../../values/time-units.js';

type Versions = ReadonlyMap<string, { sequence: PreparedSequence }>;

/** People by column, one entry for each in every column: a batch of objects keeps the memory of a worker busy. */
export interface DuePeople {
  /** Of their enrollments. */
  ids: readonly string[];
  subscriberIds: readonly string[];
  emails: readonly string[];
  emailKeys: readonly string[];
}

/** People who are due at one step and of whom the same is known, short of what has to be asked about each. */
export interface DueGroup {
  versionId: string;
  stepKey: string;
  /** As `lateSince` says. */
  lateSinceMs: number | null;
  /** A step that waits for something to happen has not begun to, still does, or its time is over. */
  wait: Facts['wait'];
  /** The step whose hours its mails keep; null for nearly everybody. */
  hoursOf: string | null;
  /** JSON as the database wrote it. */
  data: string;
  /** JSON of the steps that do not come again; null for nearly everybody. */
  had: string | null;
  /** Of the subscriber; `paused` while an active one wants a pause, `stopped` while the mails of the sequence are paused. */
  status: string;
  timeZone: string | null;
  people: DuePeople;
}

/** What has to be looked up before the batch can be planned. */
export function needsOf(
  due: readonly DueGroup[],
  versions: Versions,
): { row: { id: string; subscriberId: string; zone: string }; need: Need }[] {
  return due.flatMap((group) => {
    const needs = needsAt(group, versions);
    if (needs.length === 0) return [];
    const { ids, subscriberIds } = group.people;
    const { zone } = timeZoneOr(group.timeZone, versions.get(group.versionId)?.sequence.fallbackZone ?? '');
    return ids.flatMap((id, index) => {
      const row = { id, subscriberId: subscriberIds[index] ?? '', zone };
      return needs.map((need) => ({ row, need }));
    });
  });
}

/** Worked out once for each group, as it is asked for each person. */
const needsOfGroup = new WeakMap<DueGroup, readonly Need[]>();

export function needsAt(group: DueGroup, versions: Versions): readonly Need[] {
  const { status, versionId, stepKey, had } = group;
  const sequence = status === 'active' ? versions.get(versionId)?.sequence : undefined;
  if (sequence === undefined) return [];
  if (had === null) return sequence.needs.get(stepKey) ?? [];
  const known = needsOfGroup.get(group) ?? needsFrom(sequence, stepKey, readHad(had)).needs;
  needsOfGroup.set(group, known);
  return known;
}

export function readHad(had: string | null): Had | null {
  return had === null ? null : (JSON.parse(had) as Had);
}

/** The groups without the people whose ids are `busy`. */
export function withoutSubscribers(due: readonly DueGroup[], busy: ReadonlySet<string>): DueGroup[] {
  return without(due, ({ subscriberIds }, index) => busy.has(subscriberIds[index] ?? ''));
}

/** The groups without the enrollments. */
export function withoutEnrollments(due: readonly DueGroup[], ids: ReadonlySet<string>): DueGroup[] {
  return without(due, (people, index) => ids.has(people.ids[index] ?? ''));
}

function without(due: readonly DueGroup[], isOut: (people: DuePeople, index: number) => boolean): DueGroup[] {
  return due.map((group) => {
    const { ids, subscriberIds, emails, emailKeys } = group.people;
    const isIn = (_: string, index: number): boolean => !isOut(group.people, index);
    const people = {
      ids: ids.filter(isIn),
      subscriberIds: subscriberIds.filter(isIn),
      emails: emails.filter(isIn),
      emailKeys: emailKeys.filter(isIn),
    };
    return { ...group, people };
  });
}

/**
 * Null unless the step is over an hour late, as after an outage: then its mail is as late as the step, to the hour, so
 * that the rule for overdue mail sees it. A step that was put off to an opening is as late as that, which is also the
 * rule for a mail that is put back. The claim says the same in SQL.
 */
export function lateSince(nextAtMs: number, now: Date): number | null {
  if (now.getTime() - nextAtMs <= HOUR_MS) return null;
  return Math.ceil(nextAtMs / HOUR_MS) * HOUR_MS;
}
