import type { ClientBase } from 'pg';
import { commitDurably } from './durable-commits.js';
import { compileNothing } from './jit-off.js';
import { StallWatch } from './stall-watch.js';

/** What every pool of ours does with a new connection before it is used. */
export function ourConnection(url: string): (client: ClientBase) => Promise<void> {
  const watch = new StallWatch(url);
  return async (client) => {
    watch.onConnect(client);
    await commitDurably(client);
    await compileNothing(client);
  };
}
