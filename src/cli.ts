import 'reflect-metadata';
import { Command } from 'commander';
import { EnvError, readConfig } from '../config/env.js';
import { openCommandContext, type CommandContext } from './application.js';
import { doctor } from './doctor.js';
import { FunnelsService } from './funnels/funnels.service.js';
import { ApiKeysService } from './infra/access/api-keys.service.js';
import { migrate } from './infra/database/migrate.js';
import { addInspectCommand } from './inspect-command.js';
import { addLedgerCommands } from './ledger-command.js';
import { addMailCommands, LEVELS } from './mail-commands.js';
import { DomainError } from './values/domain-error.js';

/** Exit codes: 0 good, 1 refused, 2 wrong use. */
const REFUSED = 1;
const WRONG_USE = 2;

const program = new Command('wellspring').description('Self-hosted autoresponder and sales funnel engine');
program.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : WRONG_USE));

/** Opens what a command needs and closes it again, whatever happened. */
async function within(run: (context: CommandContext) => Promise<void>): Promise<void> {
  const context = await openCommandContext(readConfig(), (line) => console.error(line));
  try {
    await run(context);
  } finally {
    await context.close();
  }
}

const print = (json: boolean, value: unknown, words: () => string): void =>
  console.log(json ? JSON.stringify(value) : words());

program
  .command('migrate')
  .description('bring the database up to date')
  .option('--json')
  .action(async ({ json = false }: { json?: boolean }) =>
    within(async ({ dataSource, migrated }) => {
      const ran = [...migrated, ...(await migrate(dataSource))];
      print(json, { ran }, () =>
        ran.length === 0 ? 'The database is up to date.' : ran.map((name) => `ran ${name}`).join('\n'),
      );
    }),
  );

program
  .command('doctor')
  .description('check that everything this installation needs is there, and what the DNS says of its domains')
  .option('--domain <domain...>', 'sending domains to look at, instead of those in use')
  .option('--ip <address>', 'the address that mail leaves from')
  .option('--json')
  .action(async ({ domain, ip, json = false }: { domain?: string[]; ip?: string; json?: boolean }) =>
    within(async (context) => {
      const checks = await doctor(context, { ...(domain ? { domains: domain } : {}), ip });
      print(json, { checks }, () =>
        checks.map(({ level, name, detail }) => `${LEVELS[level]} ${name}: ${detail}`).join('\n'),
      );
      if (checks.some(({ ok }) => !ok)) process.exitCode = REFUSED;
    }),
  );

addMailCommands(program, { within, print });
addLedgerCommands(program, { within, print });

for (const [name, description] of [
  ['plan', 'show what applying a funnel file would change'],
  ['apply', 'make the database say what the funnel file says'],
] as const) {
  program
    .command(name)
    .description(description)
    .argument('<file>')
    .option('--json')
    .action(async (file: string, { json = false }: { json?: boolean }) =>
      within(async ({ app }) => {
        const funnels = app.get(FunnelsService);
        const plan = name === 'plan' ? await funnels.planFile(file) : await funnels.applyFile(file);
        print(json, { ...plan, applied: name === 'apply' }, () =>
          plan.words.length === 0 ? 'No changes.' : plan.words.join('\n'),
        );
      }),
    );
}

program
  .command('export')
  .description('write the funnels as files describe them')
  .argument('[funnel]')
  .option('--json')
  .action(async (funnel: string | undefined, { json = false }: { json?: boolean }) =>
    within(async ({ app }) => {
      const yaml = await app.get(FunnelsService).export(funnel);
      process.stdout.write(json ? `${JSON.stringify({ yaml })}\n` : yaml);
    }),
  );

program
  .command('api-key')
  .description('keys for the REST API')
  .command('create')
  .argument('<name>')
  .option('--json')
  .action(async (name: string, { json = false }: { json?: boolean }) =>
    within(async ({ app }) => {
      const created = await app.get(ApiKeysService).create(name);
      print(json, created, () => `${created.key}\nIt is shown this once only.`);
    }),
  );

addInspectCommand(program, print);

program.parseAsync().catch((error: unknown) => {
  const expected = error instanceof EnvError || error instanceof DomainError;
  console.error(expected ? error.message : error);
  process.exit(error instanceof EnvError ? WRONG_USE : REFUSED);
});
