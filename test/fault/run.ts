import { parseArgs } from 'node:util';
import { DurablePostgres } from '../support/durable-postgres.js';
import { table } from '../bench/bench.js';
import type { Scenario } from './scenario.js';
import { databaseScenarios } from './scenarios/database.js';
import { killScenarios } from './scenarios/kills.js';
import { logicScenarios } from './scenarios/logic.js';
import { pauseScenarios } from './scenarios/pauses.js';
import { relayScenarios } from './scenarios/relay.js';
import { workerScenarios } from './scenarios/workers.js';
import { seedLedger } from './seeded-ledger.js';
import { World } from './world.js';

interface Result {
  name: string;
  covers: string;
  seed: number;
  cells: string[];
  violations: string[];
}

interface Task {
  scenario: Scenario;
  seed: number;
}

const LONG_SEEDS = [1, 2, 3];
const MOST_MAILS = 2_000;
const DEFAULT_MAILS = 300;
/** Scenarios under way at once; those that crash their server have one to themselves beside. */
const AT_ONCE = 2;

/**
 * `npm run fault [-- --short] [-- --json] [-- --only NAME] [-- --seed N]`. Real worker processes, a real PostgreSQL with
 * its durable settings, a relay that counts. Exit code 1 when any promise is broken.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean' },
      json: { type: 'boolean' },
      only: { type: 'string' },
      seed: { type: 'string' },
    },
  });
  const { short = false, json = false, only = '' } = values;
  const seeds = values.seed === undefined ? (short ? [1] : LONG_SEEDS) : [Number(values.seed)];
  const tasks = [
    ...killScenarios(short),
    ...pauseScenarios,
    ...databaseScenarios,
    ...relayScenarios,
    ...workerScenarios,
    ...logicScenarios,
  ]
    .filter(({ short: inShort, name, covers }) => (inShort || !short) && `${covers} ${name}`.includes(only))
    .flatMap((scenario) => seeds.map((seed): Task => ({ scenario, seed })));
  if (tasks.length === 0) throw new Error(`there is no scenario like ${only}`);
  const started = Date.now();
  const results: Result[] = [];
  const tell = (result: Result): void => {
    results.push(result);
    if (json) console.log(JSON.stringify(jsonRow(result)));
    else console.error(`${result.violations.length === 0 ? 'good' : 'BROKEN'}  ${titleOf(result)}`);
    for (const violation of result.violations) console.error(`        ${violation}`);
  };
  const crashing = tasks.filter(({ scenario }) => scenario.crashesServer === true);
  const others = tasks.filter((task) => !crashing.includes(task));
  await Promise.all([onOneServer(crashing, 1, tell), onOneServer(others, AT_ONCE, tell)]);
  const broken = results.filter(({ violations }) => violations.length > 0).length;
  if (!json) {
    const order = new Map(tasks.map(({ scenario, seed }, i) => [`${scenario.name} ${seed}`, i]));
    const place = ({ name, seed }: Result): number => order.get(`${name} ${seed}`) ?? 0;
    console.log(`\n${report(results.toSorted((a, b) => place(a) - place(b)))}`);
    const minutes = ((Date.now() - started) / 60_000).toFixed(1);
    console.log(`\n${results.length} runs in ${minutes} minutes, ${broken} broken`);
  }
  if (broken > 0) process.exitCode = 1;
}

async function onOneServer(tasks: Task[], atOnce: number, tell: (result: Result) => void): Promise<void> {
  if (tasks.length === 0) return;
  const cluster = await DurablePostgres.start();
  try {
    const template = await seedLedger(cluster, MOST_MAILS);
    const queue = [...tasks];
    const lane = async (): Promise<void> => {
      for (let task = queue.shift(); task !== undefined; task = queue.shift())
        tell(await runOne(cluster, template, task));
    };
    await Promise.all(Array.from({ length: atOnce }, lane));
  } finally {
    await cluster.close();
  }
}

async function runOne(cluster: DurablePostgres, template: string, { scenario, seed }: Task): Promise<Result> {
  const { name, covers, mails = DEFAULT_MAILS, sink = {} } = scenario;
  const startedMs = Date.now();
  const world = await World.open(cluster, template, { seed, mails, sink });
  try {
    const extra = (await scenario.run(world, seed)) ?? [];
    const verdict = await world.verdict();
    const { counts, taken, duplicates, lost, unknownBound, kills } = verdict;
    const cells = [
      mails,
      counts['accepted'],
      counts['rejected'],
      counts['suppressed'],
      (counts['expired'] ?? 0) + (counts['cancelled'] ?? 0),
      `${counts['unknown']}/${unknownBound}`,
      taken,
      lost,
      duplicates,
      kills,
      ((Date.now() - startedMs) / 1000).toFixed(1),
    ].map(String);
    return { name, covers, seed, cells, violations: [...verdict.violations, ...extra] };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { name, covers, seed, cells: [], violations: [message] };
  } finally {
    await world.close();
  }
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
  'lost',
  'twice',
  'kills',
  's',
  '',
];

function report(results: readonly Result[]): string {
  return table([
    HEAD,
    ...results.map(({ name, covers, seed, cells, violations }) => [
      name,
      covers,
      String(seed),
      ...(cells.length > 0 ? cells : Array.from({ length: HEAD.length - 4 }, () => '-')),
      violations.length === 0 ? 'good' : 'BROKEN',
    ]),
  ]);
}

function titleOf({ covers, name, seed }: Result): string {
  return `${covers} ${name}, seed ${seed}`;
}

function jsonRow(result: Result): Record<string, unknown> {
  const { violations } = result;
  return {
    measure: `fault: ${titleOf(result)}`,
    value: violations.length,
    unit: 'broken promises',
    bar: 0,
    ok: violations.length === 0,
  };
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
