import { inspect } from 'node:util';
import { Command, CommanderError } from 'commander';
import { EnvError, readConfig, readTimeZone } from '../../config/env.js';
import { addKeyCommands } from './api-keys.command.js';
import { addBroadcastCommands } from './broadcasts.command.js';
import { LEVELS, type CommandTools } from './command-tools.js';
import { addDkimCommands } from './dkim.command.js';
import { addFunnelCommands } from './funnels.command.js';
import { addImportCommands } from './imports.command.js';
import { addInspectCommand } from './inspect.command.js';
import { addLedgerCommands } from './ledger.command.js';
import { addMailsCommand } from './mails.command.js';
import { addPreflightCommand } from './preflight.command.js';
import { addPreviewCommand } from './preview.command.js';
import { addSendMailCommand } from './send-mail.command.js';
import { addSimulateCommand } from './simulate.command.js';
import { addTestMailCommand } from './test-mail.command.js';
import { addUnknownCommands } from './unknown.command.js';
import { fieldProblems } from '../infra/http/field-problems.js';
import { DomainError } from '../values/domain-error.js';

/** Exit codes: 0 good, 1 refused, 2 wrong use. */
const REFUSED = 1;
const WRONG_USE = 2;

/** Where a command is run: its variables, by default those of the process, and where its words go. */
interface CommandSurroundings {
  env?: Record<string, string | undefined>;
  out: (text: string) => void;
  error: (text: string) => void;
}

/** Runs `wellspring ARGS`. Resolves with the exit code; never rejects. */
export async function runCommand(args: readonly string[], around: CommandSurroundings): Promise<number> {
  const { env, out, error: tell } = around;
  let code = 0;
  const tools: CommandTools = {
    within: async (run) => {
      const config = readConfig(env);
      const [{ openCommandContext }, { commandServices }] = await Promise.all([
        import('../application.js'),
        import('./command.services.js'),
      ]);
      const context = await openCommandContext(config, (line) => tell(`${line}\n`));
      try {
        await run({ ...context, ...commandServices(context.app) });
      } finally {
        await context.close();
      }
    },
    print: (json, value, words) => out(`${json ? JSON.stringify(value) : words()}\n`),
    out,
    note: (line) => tell(`${line}\n`),
    timeZone: () => readTimeZone(env),
    wrongUse: (command, issues) => {
      const problems = fieldProblems(issues, 'options').map(({ field, message }) => `${field}: ${message}`);
      return command.error(problems.join('\n'));
    },
    refuse: () => {
      code = REFUSED;
    },
  };
  try {
    await wellspring(tools, tell).parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USE;
    const expected = error instanceof EnvError || error instanceof DomainError;
    tell(`${expected ? error.message : inspect(error)}\n`);
    return error instanceof EnvError ? WRONG_USE : REFUSED;
  }
}

function wellspring(tools: CommandTools, tell: (text: string) => void): Command {
  const program = new Command('wellspring')
    .description('Self-hosted autoresponder and sales funnel engine')
    .configureOutput({ writeOut: tools.out, writeErr: tell })
    .exitOverride();
  addInstallationCommands(program, tools);
  addDkimCommands(program, tools);
  addPreflightCommand(program, tools);
  addPreviewCommand(program, tools);
  addTestMailCommand(program, tools);
  addSendMailCommand(program, tools);
  addLedgerCommands(program, tools);
  addUnknownCommands(program, tools);
  addMailsCommand(program, tools);
  addBroadcastCommands(program, tools);
  addFunnelCommands(program, tools);
  addImportCommands(program, tools);
  addSimulateCommand(program, tools);
  addKeyCommands(program, tools);
  addInspectCommand(program, tools.print);
  return program;
}

function addInstallationCommands(program: Command, { within, print, refuse }: CommandTools): void {
  program
    .command('migrate')
    .description('bring the database up to date')
    .option('--json')
    .action(async ({ json = false }: { json?: boolean }) =>
      within(async ({ dataSource, migrated }) => {
        const { migrate } = await import('../infra/database/migrate.js');
        const ran = [...migrated, ...(await migrate(dataSource))];
        print(json, { ran }, () =>
          ran.length === 0 ? 'The database is up to date.' : ran.map((name) => `ran ${name}`).join('\n'),
        );
      }),
    );

  program
    .command('doctor')
    .description(
      'check that everything this installation needs is there, and what the DNS says of its domains',
    )
    .option('--domain <domain...>', 'sending domains to look at, instead of those in use')
    .option('--ip <address>', 'the address that mail leaves from')
    .option('--json')
    .action(async ({ domain, ip, json = false }: { domain?: string[]; ip?: string; json?: boolean }) =>
      within(async (context) => {
        const { doctor } = await import('./doctor.probe.js');
        const checks = await doctor(context, { ...(domain ? { domains: domain } : {}), ip });
        print(json, { checks }, () =>
          checks.map(({ level, name, detail }) => `${LEVELS[level]} ${name}: ${detail}`).join('\n'),
        );
        if (checks.some(({ ok }) => !ok)) refuse();
      }),
    );
}
