import { table } from '../bench/bench.js';
import { SHOWN_BY_TESTS } from './shown-by-tests.js';
import type { WorldVerdict } from './world.js';

/** One run of one scenario. */
export interface Result {
  name: string;
  covers: string;
  seed: number;
  /** Null when it did not come so far. */
  numbers: RunNumbers | null;
  violations: string[];
  /** Why it cannot be had on this machine. */
  leftOut: string | null;
}

export interface RunNumbers {
  planned: number;
  accepted: number;
  rejected: number;
  suppressed: number;
  expiredOrCancelled: number;
  /** At the end, and the most that may have been at any time. */
  unknown: number;
  unknownBound: number;
  taken: number;
  /** Transactional mails whose first try was unclear, taken a second time. */
  again: number;
  lost: number;
  twice: number;
  kills: number;
  seconds: number;
}

const HEAD = [
  'scenario',
  'faults',
  'seed',
  'planned',
  'accepted',
  'rejected',
  'suppressed',
  'exp+canc',
  'unknown/bound',
  'taken',
  'again',
  'lost',
  'twice',
  'kills',
  's',
  '',
];

export function numbersOf(verdict: WorldVerdict, planned: number, seconds: number): RunNumbers {
  const { counts, unknownBound, taken, again, lost, duplicates: twice, kills } = verdict;
  const count = (state: string): number => counts[state] ?? 0;
  return {
    planned,
    accepted: count('accepted'),
    rejected: count('rejected'),
    suppressed: count('suppressed'),
    expiredOrCancelled: count('expired') + count('cancelled'),
    unknown: count('unknown'),
    unknownBound,
    taken,
    again,
    lost,
    twice,
    kills,
    seconds,
  };
}

export function titleOf({ covers, name, seed }: Pick<Result, 'covers' | 'name' | 'seed'>): string {
  return `${covers} ${name}, seed ${seed}`;
}

export function outcomeOf({ violations, leftOut }: Result): 'good' | 'BROKEN' | 'left out' {
  if (leftOut !== null) return 'left out';
  return violations.length === 0 ? 'good' : 'BROKEN';
}

export function textTable(results: readonly Result[]): string {
  return table([HEAD, ...results.map(rowOf)]);
}

export function jsonRow(result: Result): Record<string, unknown> {
  const { violations, leftOut } = result;
  return {
    measure: `fault: ${titleOf(result)}`,
    value: violations.length,
    unit: 'broken promises',
    bar: 0,
    ok: violations.length === 0,
    ...(leftOut === null ? {} : { note: `left out: ${leftOut}` }),
  };
}

/** The page that is kept: what was injected, what came of it, what is shown by other tests. */
export function markdownPage(
  results: readonly Result[],
  { at, minutes, of }: { at: Date; minutes: string; of: number },
): string {
  const seen = results.flatMap(({ numbers }) => numbers ?? []);
  const sum = (key: keyof RunNumbers): string => seen.reduce((total, row) => total + row[key], 0).toString();
  const bad = results.filter((result) => outcomeOf(result) !== 'good');
  const seeds = [...new Set(results.map(({ seed }) => seed))].toSorted((a, b) => a - b);
  return `# What was broken on purpose, and what came of it

Written by \`npm run fault\` on ${at.toISOString().slice(0, 10)}: ${results.length}${of > results.length ? ` of ${of}` : ''} runs in ${minutes} minutes, seed ${seeds.join(', ')}. Each run starts real worker processes on a real PostgreSQL with its durable settings, and a relay that counts what it takes by Message-ID. F numbers are those of the fault list the harness was built from.

| planned | accepted | rejected | suppressed | expired or cancelled | unknown | taken by the relay | sent again on purpose | accepted but lost | taken twice | kill -9 |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| ${(['planned', 'accepted', 'rejected', 'suppressed', 'expiredOrCancelled', 'unknown', 'taken', 'again', 'lost', 'twice', 'kills'] as const).map(sum).join(' | ')} |

*Sent again on purpose*: transactional mails whose first try was unclear. *Unknown/bound*: at the end, and the most there may be: open lanes times crashes, and replies the relay left unclear. A restored backup sets the ledger back, so its *taken* is more than its *accepted*.

${bad.length === 0 ? 'Nothing was broken or left out.' : `Broken or left out:\n\n${bad.map((result) => `- ${titleOf(result)}: ${result.leftOut ?? result.violations.join('; ').split('\n')[0]}`).join('\n')}`}

## Every run

| ${HEAD.map((cell) => cell || 'verdict').join(' | ')} |
| --- | --- |${HEAD.slice(2)
    .map(() => ' ---: |')
    .join('')}
${results.map((result) => `| ${rowOf(result).join(' | ')} |`).join('\n')}

## Shown by other tests

| fault | what holds | test |
| --- | --- | --- |
${SHOWN_BY_TESTS.map(({ covers, name, file, title }) => `| ${covers} | ${name} | \`${file}\`: ${title} |`).join('\n')}
`;
}

function rowOf(result: Result): string[] {
  const { name, covers, seed, numbers } = result;
  const start = [name, covers, String(seed)];
  if (numbers === null)
    return [...start, ...Array.from({ length: HEAD.length - 4 }, () => '-'), outcomeOf(result)];
  const { unknown, unknownBound, seconds, ...n } = numbers;
  return [
    ...start,
    ...[n.planned, n.accepted, n.rejected, n.suppressed, n.expiredOrCancelled].map(String),
    `${unknown}/${unknownBound}`,
    ...[n.taken, n.again, n.lost, n.twice, n.kills].map(String),
    seconds.toFixed(1),
    outcomeOf(result),
  ];
}
