import { InvalidArgumentError, type Command } from 'commander';
import type { CommandTools } from './command-tools.js';
import { UNSENT, type Unsent } from '../delivery/generation/generation.js';
import type { ConfirmedLedger } from '../delivery/generation/generation-guard.service.js';

/** Commands for the owner of a database that refuses to send. */
export function addLedgerCommands(program: Command, { within, print, refuse }: CommandTools): void {
  const ledger = program.command('ledger').description('which database may send, after a backup or a move');
  ledger
    .command('status')
    .description('say whether mails may go out of this database')
    .option('--json')
    .action(async ({ json = false }: { json?: boolean }) =>
      within(async ({ generationGuard }) => {
        const state = await generationGuard.state();
        print(json, state, () => (state.ok ? 'Mails may go out.' : `Nothing is sent: ${state.reason}.`));
        if (!state.ok) refuse();
      }),
    );
  ledger
    .command('confirm')
    .description('say that this database is the one to send from')
    .option(
      '--unsent <what>',
      'mails that may have gone out after the backup: hold them for you to decide, cancel them, or keep them to be sent',
      readUnsent,
      'hold',
    )
    .option('--json')
    .action(async ({ unsent, json = false }: { unsent: Unsent; json?: boolean }) =>
      within(async ({ generationGuard }) => {
        const done = await generationGuard.confirm(unsent);
        print(json, done, () => inWords(done));
      }),
    );
}

function readUnsent(value: string): Unsent {
  const known = UNSENT.find((one) => one === value);
  if (known === undefined) throw new InvalidArgumentError(`use one of ${UNSENT.join(', ')}`);
  return known;
}

function inWords({ needed, held, cancelled, unknown }: ConfirmedLedger): string {
  if (!needed) return 'There is nothing to confirm: no worker refuses to send from this database.';
  const parts = [
    held > 0 ? `${held} mails are held` : '',
    cancelled > 0 ? `${cancelled} mails are cancelled` : '',
    unknown > 0 ? `${unknown} mails that were on their way are unknown` : '',
  ].filter((part) => part !== '');
  return ['Confirmed: mails go out of this database.', ...parts.map((part) => `${part}.`)].join('\n');
}
