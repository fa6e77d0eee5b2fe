import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { EnvError, readConfig } from '../config/env.js';
import { openCommandContext, type CommandContext } from './application.js';
import { doctor } from './doctor.js';
import { FunnelsService } from './funnels/funnels.service.js';
import { ApiKeysService } from './infra/access/api-keys.service.js';
import { migrate } from './infra/database/migrate.js';
import { addMailCommands } from './mail-commands.js';
import { judgeUserAgent } from './tracking/user-agent.js';
import { DomainError } from './values/domain-error.js';
import { parseEmailAddress } from './values/email-address.js';

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
  .description('check that everything this installation needs is there')
  .option('--json')
  .action(async ({ json = false }: { json?: boolean }) =>
    within(async (context) => {
      const checks = await doctor(context);
      print(json, { checks }, () =>
        checks.map(({ ok, name, detail }) => `${ok ? 'ok  ' : 'FAIL'} ${name}: ${detail}`).join('\n'),
      );
      if (checks.some(({ ok }) => !ok)) process.exitCode = REFUSED;
    }),
  );

addMailCommands(program, { within, print });

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

interface Judged {
  input: string;
  verdict: string;
  reason: string;
}

const INSPECTORS: Record<string, (input: string) => Judged> = {
  address: (input) => {
    const parsed = parseEmailAddress(input);
    return { input, verdict: parsed.ok ? 'accept' : 'reject', reason: parsed.ok ? '' : parsed.reason };
  },
  'user-agent': (input) => {
    const { kind, reason } = judgeUserAgent(input);
    return { input, verdict: kind === 'person' ? 'human' : 'machine', reason };
  },
};

program
  .command('inspect')
  .description('show how addresses or user agents are judged, one a line')
  .argument('<what>', Object.keys(INSPECTORS).join(' or '))
  .argument('[files...]')
  .option('--json')
  .action((what: string, files: string[], { json = false }: { json?: boolean }) => {
    const inspect = INSPECTORS[what];
    if (!inspect) {
      console.error(`inspect takes ${Object.keys(INSPECTORS).join(' or ')}, not "${what}"`);
      process.exit(WRONG_USE);
    }
    const text =
      files.length === 0
        ? readFileSync(0, 'utf8')
        : files.map((file) => readFileSync(file, 'utf8')).join('\n');
    for (const line of text.split(/\r?\n/)) {
      if (line === '') continue;
      const judged = inspect(line);
      print(
        json,
        judged,
        () => `${judged.verdict}\t${judged.input}${judged.reason === '' ? '' : `\t${judged.reason}`}`,
      );
    }
  });

program.parseAsync().catch((error: unknown) => {
  const expected = error instanceof EnvError || error instanceof DomainError;
  console.error(expected ? error.message : error);
  process.exit(error instanceof EnvError ? WRONG_USE : REFUSED);
});
