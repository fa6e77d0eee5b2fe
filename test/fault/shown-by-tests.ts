import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A fault of the list that a test at another place shows better than a run with processes. */
export interface ShownByTest {
  covers: string;
  name: string;
  file: string;
  title: string;
}

export const SHOWN_BY_TESTS: readonly ShownByTest[] = [
  {
    covers: 'F6',
    name: 'A database that hangs costs whoever waits an error in bounded time; a statement that takes long is left alone.',
    file: 'test/db/stalled-connection.spec.ts',
    title:
      'answers whoever waits with an error in bounded time, also those who wait for a connection, and recovers',
  },
  {
    covers: 'F17',
    name: 'A relay that takes mails and does not answer is passed over for another, and no more hang on it than its limit.',
    file: 'test/db/delivery/relays/parked-lanes.spec.ts',
    title: 'is passed over for another relay',
  },
  {
    covers: 'F23',
    name: 'A relay with a certificate that nobody vouches for gets neither a mail nor the password.',
    file: 'test/contract/relay-tls.spec.ts',
    title: 'takes no other certificate, and gives it no password',
  },
  {
    covers: 'F32',
    name: 'One mailbox in two rows of the list gets one mail.',
    file: 'test/db/broadcasts/broadcasts.spec.ts',
    title: 'writes to a mailbox once that stands in the list twice',
  },
  {
    covers: 'F34',
    name: 'Three days without a worker: marketing mail is held for the owner, receipts go out, the rest on his word.',
    file: 'test/db/delivery/waiting/outage.spec.ts',
    title:
      'holds marketing mails of a three-day outage, sends what people wait for, and the rest on the owner’s word',
  },
  {
    covers: 'F34',
    name: 'A sequence’s step that fell due meanwhile is held, the one due now goes out.',
    file: 'test/db/delivery/waiting/outage.spec.ts',
    title: 'holds the step of a sequence that fell due during the outage, and sends the one that is due now',
  },
  {
    covers: 'F35',
    name: 'A template edited during the broadcast changes none of its mails.',
    file: 'test/db/broadcasts/broadcasts.spec.ts',
    title: 'keeps the words it was started with',
  },
  {
    covers: 'F35',
    name: 'A sequence edited while people are in it keeps its steps for them.',
    file: 'test/db/sequences/advance/advance.spec.ts',
    title: 'keeps people in the version they joined, and makes no version of an unchanged definition',
  },
  {
    covers: 'F36',
    name: 'Planning goes on behind the last whole batch.',
    file: 'test/db/broadcasts/broadcasts.spec.ts',
    title: 'goes on behind the last whole batch after a worker has died',
  },
  {
    covers: 'F39',
    name: 'A tick that runs twice at once plans each step once.',
    file: 'test/db/sequences/advance/advance.spec.ts',
    title: 'plans each step once when several workers advance at the same time',
  },
  {
    covers: 'F40',
    name: 'In every zone and next to every clock change, a step goes out at the first instant its rules allow.',
    file: 'test/unit/sequences/schedule-zones.spec.ts',
    title: 'is the first instant the rules allow, as found by looking at every quarter of an hour',
  },
];

/** Whether there is a test of that title which runs: not one that is left out, and not mere words about it. */
export function isTest(text: string, title: string): boolean {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '');
  if (/\b(?:describe|it|test)\.only\b|\bdescribe\.(?:skip|todo)\b/.test(code)) return false;
  const titles = [...code.matchAll(/^[ \t]*it\(\s*(['"`])(.*)\1,\s*(?:async )?\(\) =>/gm)].map(
    ([, , said]) => said,
  );
  return titles.includes(title);
}

/** Those whose test is not there any more under its title. */
export async function missingTests(root: string): Promise<ShownByTest[]> {
  const found = await Promise.all(
    SHOWN_BY_TESTS.map(async ({ file, title }) =>
      isTest(await readFile(join(root, file), 'utf8').catch(() => ''), title),
    ),
  );
  return SHOWN_BY_TESTS.filter((_, i) => found[i] === false);
}
