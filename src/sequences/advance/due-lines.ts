import type { DueGroup, DuePeople } from './due-group.js';

const BROKEN = 'an address holds a space, a tab or a line break';

type Columns = { -readonly [Column in keyof DuePeople]: string[] };

/**
 * Reads those whom `EnrollmentsQueries.claimDue` claimed, a line for each: the ids of enrollment and subscriber, the
 * address as it is compared and, where that differs, as it is written, then, behind tabs, what may be the same for many. People of whom it is
 * the same form a group; groups come in the order of their first. `firstData` is the `data` of all who bring none.
 *
 * @throws Error when a line does not have all of its parts, as when an address held a space, a tab or a line break, which
 *   `parseEmailAddress` refuses: nobody must get another's mail then
 */
export function readDue(lines: string, firstData: string): DueGroup[] {
  const groups = new Map<string, DueGroup & { people: Columns }>();
  for (let start = 0; start < lines.length;) {
    const lineBreak = lines.indexOf('\n', start);
    const end = lineBreak < 0 ? lines.length : lineBreak;
    const first = lines.indexOf(' ', start);
    const second = lines.indexOf(' ', first + 1);
    const third = lines.indexOf(' ', second + 1);
    const tab = lines.indexOf('\t', start);
    const emailKey = lines.slice(second + 1, third);
    if (first < start || second <= first || third <= second + 1 || tab <= third || tab >= end)
      throw new Error(BROKEN);
    if (lines.lastIndexOf(' ', tab) !== third) throw new Error(BROKEN);
    const rest = lines.slice(tab, end);
    let group = groups.get(rest);
    if (group === undefined) groups.set(rest, (group = readGroup(rest, firstData)));
    group.people.ids.push(lines.slice(start, first));
    group.people.subscriberIds.push(lines.slice(first + 1, second));
    group.people.emailKeys.push(emailKey);
    // One text for both saves what each mail holds in memory.
    group.people.emails.push(third + 1 === tab ? emailKey : lines.slice(third + 1, tab));
    start = end + 1;
  }
  return [...groups.values()];
}

/** JSON as the database writes it holds no tab and no line break. */
function readGroup(rest: string, firstData: string): DueGroup & { people: Columns } {
  const [, versionId, stepKey, status, timeZone, wait, lateSinceMs, hoursOf, had, data, ...more] =
    rest.split('\t');
  if (
    versionId === undefined ||
    stepKey === undefined ||
    status === undefined ||
    data === undefined ||
    more.length > 0
  )
    throw new Error(BROKEN);
  return {
    versionId,
    stepKey,
    status,
    timeZone: timeZone === '' ? null : (timeZone ?? null),
    wait: wait as DueGroup['wait'],
    lateSinceMs: lateSinceMs === '' ? null : Number(lateSinceMs),
    hoursOf: hoursOf === '' ? null : (hoursOf ?? null),
    had: had === '' ? null : (had ?? null),
    data: data === '' ? firstData : data,
    people: { ids: [], subscriberIds: [], emails: [], emailKeys: [] },
  };
}
