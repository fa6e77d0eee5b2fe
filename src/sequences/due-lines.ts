import type { DueGroup, DuePeople } from './advance-batch.js';

const BROKEN = 'an address holds a space, a tab or a line break';

type Columns = { -readonly [Column in keyof DuePeople]: string[] };

/**
 * Reads those whom `EnrollmentsQueries.claimDue` claimed, a line for each: the ids of enrollment and subscriber and the
 * address as it is compared and as it is written, then, behind tabs, what may be the same for many. People of whom it is
 * the same form a group; groups come in the order of their first. `firstData` is the `data` of all who bring none.
 *
 * @throws Error when a line does not have all of its parts, as when an address held a space, a tab or a line break, which
 *   `parseEmailAddress` refuses: nobody must get another's mail then
 */
export function readDue(lines: string, firstData: string): DueGroup[] {
  const groups = new Map<string, DueGroup & { people: Columns }>();
  for (const line of lines.split('\n')) {
    const tab = line.indexOf('\t');
    const rest = line.slice(tab);
    let group = groups.get(rest);
    if (group === undefined) groups.set(rest, (group = readGroup(rest, firstData)));
    const first = line.indexOf(' ');
    const second = line.indexOf(' ', first + 1);
    const third = line.indexOf(' ', second + 1);
    if (second <= first || third <= second || third >= tab || line.lastIndexOf(' ', tab) !== third)
      throw new Error(BROKEN);
    const emailKey = line.slice(second + 1, third);
    group.people.ids.push(line.slice(0, first));
    group.people.subscriberIds.push(line.slice(first + 1, second));
    group.people.emailKeys.push(emailKey);
    // One text for both saves what each mail holds in memory.
    group.people.emails.push(
      line.startsWith(emailKey, third + 1) && tab - third - 1 === emailKey.length
        ? emailKey
        : line.slice(third + 1, tab),
    );
  }
  return [...groups.values()];
}

/** JSON as the database writes it holds no tab and no line break. */
function readGroup(rest: string, firstData: string): DueGroup & { people: Columns } {
  const [, versionId, stepKey, status, timeZone, wait, lateSinceMs, had, data, ...more] = rest.split('\t');
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
    had: had === '' ? null : (had ?? null),
    data: data === '' ? firstData : data,
    people: { ids: [], subscriberIds: [], emails: [], emailKeys: [] },
  };
}
