import type { ClientBase } from 'pg';
import { commitDurably } from './durable-commits.js';
import { compileNothing } from './jit-off.js';
import { seeCommitted } from './read-committed.js';
import { StallWatch } from './stall-watch.js';

/**
 * What every pool of ours does with a new connection before it is used. The driver waits for what it returns, of which its
 * types say nothing.
 */
export function ourConnection(url: string): (client: ClientBase) => unknown {
  const watch = new StallWatch(url);
  return async (client) => {
    watch.onConnect(client);
    await commitDurably(client);
    await compileNothing(client);
    await seeCommitted(client);
  };
}
