import { setTimeout as sleep } from 'node:timers/promises';
import type { StatementFault } from './database-proxy.js';
import { PATIENCE_MS } from './patience.js';
import type { World } from './world.js';

export type Harm = 'kill -9' | 'PostgreSQL crash';

/** Where the harm comes. `hit`: at the how-manyth passing, 1 when left out. */
export type Place = Pick<StatementFault, 'statement' | 'moment' | 'atEnd'> & { hit?: number };

export interface HarmOptions {
  harm: Harm;
  places: readonly Place[];
  /** Asked for until the place is reached. */
  job: string;
  /** How many do it at once, 1 when left out. */
  workers?: number;
  /** Of their processes. */
  env?: Readonly<Record<string, string>>;
  /** Looks at what was left behind, while nobody works on it; returns what is wrong. */
  after?: () => Promise<string[]>;
  /**
   * Whether the job has been done to its end. A busy machine gets further between two harms than another: then the last
   * places are not reached, which is no fault as long as half of them were.
   */
  isOver?: () => Promise<boolean>;
}

const ASK_EVERY_MS = 500;

/**
 * A worker, or several, does the job and is harmed at one place after the other; another one, or itself after a crash of
 * the database, goes on. Between two harms nothing gets further than to the second.
 */
export async function harmAtPlaces(
  world: World,
  { harm, places, job, workers = 1, env = {}, after, isOver = async () => false }: HarmOptions,
): Promise<string[]> {
  const wrong: string[] = [];
  let reached = 0;
  for (const { hit = 1, ...place } of places) {
    const harms: Promise<unknown>[] = [];
    const act = (): void => {
      harms.push(harm === 'kill -9' ? world.killAll() : crash(world));
    };
    world.proxy.statementFault = { ...place, hit, act };
    world.proxy.open();
    if (world.live.length === 0)
      await world.start(workers, { env }).catch((error: unknown) => {
        if (harms.length === 0) throw error;
      });
    const untilMs = performance.now() + PATIENCE_MS;
    let over = false;
    while (harms.length === 0 && !over && performance.now() < untilMs) {
      await world.wake(job);
      await sleep(ASK_EVERY_MS);
      over = harms.length === 0 && (await isOver());
    }
    world.proxy.statementFault = null;
    if (over && harms.length === 0) {
      if (reached < places.length / 2) wrong.push(`only ${reached} of ${places.length} places were reached`);
      break;
    }
    reached++;
    if (harms.length === 0) wrong.push(`"${place.statement}" was not ${place.moment} ${hit} times`);
    await Promise.all(harms);
    if (harm === 'kill -9') await world.ageLeases();
    const found = (await after?.()) ?? [];
    wrong.push(...found.map((text) => `${text} after ${place.moment} ${hit} "${place.statement}"`));
  }
  world.proxy.open();
  if (world.live.length === 0) await world.start(workers, { env });
  return wrong;
}

/** No worker gets to the server again before the proxy is opened. */
async function crash(world: World): Promise<void> {
  world.proxy.shut();
  await world.cluster.crash();
  await world.cluster.restart();
}
