import 'reflect-metadata';
import { EnvError, readConfig } from '../config/env.js';
import { startApplication, type Application } from './application.js';
import { DomainError } from './values/domain-error.js';

/** Starts one process, prints what to open, and drains on Ctrl-C or SIGTERM; a second signal ends at once. */
async function main(): Promise<void> {
  const config = readConfig();
  let application: Application | null = null;
  let stopping = false;
  const stop = (): void => {
    // The first process of a container is not ended by a signal that it does not hear, and it may wait minutes for its database.
    if (stopping || application === null) process.exit(130);
    stopping = true;
    console.log('Stopping: letting mails under way finish');
    application.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  application = await startApplication(config, (line) => console.log(line));
}

main().catch((error: unknown) => {
  const expected = error instanceof EnvError || error instanceof DomainError;
  console.error(expected ? error.message : error);
  process.exit(error instanceof EnvError ? 2 : 1);
});
