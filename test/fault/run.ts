import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TEMPLATES_DIR } from '../../src/infra/http/templates-dir.js';
import { DurablePostgres } from '../support/durable-postgres.js';
import { jsonRow, markdownPage, numbersOf, outcomeOf, textTable, titleOf, type Result } from './results.js';
import { scenarios } from './scenarios.js';
import { seedLedger } from './seeded-ledger.js';
import { seedsOf, tasksOf, type Task } from './tasks.js';
import { World } from './world.js';

const MOST_MAILS = 2_000;
const DEFAULT_MAILS = 300;
/** Scenarios under way at once unless `--at-once` says otherwise; those that crash their server have one beside. */
const AT_ONCE = 2;
/** Where the complete long form leaves its table. */
const PAGE = join(TEMPLATES_DIR, '../docs/faults.md');

/**
 * `npm run fault [-- --short] [-- --json] [-- --only NAME] [-- --seed N[,N…]] [-- --at-once N]`. Real worker processes, a real PostgreSQL with
 * its durable settings, a relay that counts. Exit code 1 when any promise is broken. The long form, when
 * `--only` leaves nothing out, writes `docs/faults.md`.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean' },
      json: { type: 'boolean' },
      only: { type: 'string' },
      seed: { type: 'string' },
      'at-once': { type: 'string' },
    },
  });
  const { short = false, json = false, only = '', seed = '', 'at-once': atOnce = AT_ONCE } = values;
  const wanted = scenarios(short).filter(({ name, covers }) => `${covers} ${name}`.includes(only));
  const seeds = seedsOf(seed, short);
  const tasks = tasksOf(wanted, seeds);
  if (tasks.length === 0) throw new Error(`there is no scenario like ${only}`);
  console.error(`${tasks.length} runs, seed ${seeds.join(', ')}`);
  const startedMs = Date.now();
  // Also of a run that is ended early something is left.
  const keepPage = (results: readonly Result[]): void => {
    if (short || only !== '') return;
    const run = { at: new Date(startedMs), minutes: minutesSince(startedMs), of: tasks.length };
    mkdirSync(join(PAGE, '..'), { recursive: true });
    writeFileSync(PAGE, markdownPage(results, run));
  };
  const results = await runAll(tasks, Number(atOnce), (result, all) => {
    if (json) console.log(JSON.stringify(jsonRow(result)));
    else console.error(`${outcomeOf(result).padEnd(6)}  ${titleOf(result)}`);
    for (const violation of result.violations) console.error(`        ${violation}`);
    keepPage(all);
  });
  const broken = results.filter((result) => outcomeOf(result) === 'BROKEN').length;
  if (!json)
    console.log(
      `\n${textTable(results)}\n\n${results.length} runs in ${minutesSince(startedMs)} minutes, ${broken} broken`,
    );
  if (broken > 0) process.exitCode = 1;
}

function minutesSince(startedMs: number): string {
  return ((Date.now() - startedMs) / 60_000).toFixed(1);
}

/** In the order of the tasks, whichever ends first. */
async function runAll(
  tasks: readonly Task[],
  atOnce: number,
  tell: (result: Result, all: readonly Result[]) => void,
): Promise<Result[]> {
  const results = new Map<Task, Result>();
  const inOrder = (): Result[] => tasks.flatMap((task) => results.get(task) ?? []);
  const keep = (task: Task, result: Result): void => {
    results.set(task, result);
    tell(result, inOrder());
  };
  const crashing = tasks.filter(({ scenario }) => scenario.crashesServer === true);
  const others = tasks.filter((task) => !crashing.includes(task));
  await Promise.all([onOneServer(crashing, 1, keep), onOneServer(others, atOnce, keep)]);
  return inOrder();
}

async function onOneServer(
  tasks: readonly Task[],
  atOnce: number,
  keep: (task: Task, result: Result) => void,
): Promise<void> {
  if (tasks.length === 0) return;
  const cluster = await DurablePostgres.start();
  try {
    const template = await seedLedger(cluster, MOST_MAILS);
    const queue = [...tasks];
    const lane = async (): Promise<void> => {
      for (let task = queue.shift(); task !== undefined; task = queue.shift())
        keep(task, await runOne(cluster, template, task));
    };
    await Promise.all(Array.from({ length: atOnce }, lane));
  } finally {
    await cluster.close();
  }
}

/** Never rejects: a scenario that cannot even open its world is a red line like any other, and the rest go on. */
async function runOne(cluster: DurablePostgres, template: string, { scenario, seed }: Task): Promise<Result> {
  const { name, covers, mails = DEFAULT_MAILS, sink = {}, relays = [sink] } = scenario;
  const startedMs = Date.now();
  const result: Result = { name, covers, seed, numbers: null, violations: [], leftOut: null };
  const noting = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      result.violations.push(error instanceof Error ? error.message : String(error));
    }
  };
  await noting(async () => {
    result.leftOut = (await scenario.leftOut?.()) ?? null;
    if (result.leftOut !== null) return;
    const world = await World.open(cluster, template, { seed, mails, relays });
    await noting(async () => {
      result.violations.push(...((await scenario.run(world, seed)) ?? []));
    });
    // Also when the scenario did not come to its end: whether something was lost or sent twice is then asked all the more.
    await noting(async () => {
      const verdict = await world.verdict();
      result.numbers = numbersOf(verdict, world.mails, (Date.now() - startedMs) / 1000);
      result.violations.push(...verdict.violations);
    });
    await world.close();
  });
  return result;
}

// Said outright: left to end by itself, Node 20 was once seen to spin for ever while it closed its handles.
main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
