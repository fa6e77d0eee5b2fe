import { readFileSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { CommandTools } from './command-tools.js';
import { funnelJsonSchema } from '../funnels/schemas/funnel-json-schema.js';
import type { FunnelPlan } from '../funnels/funnels.service.js';
import { findingText, type Finding } from '../funnels/lint/rules.js';
import { parsePlanTokens, type PlanToken } from '../funnels/changes/plan-token.js';
import { SystemClock } from '../infra/clock.js';
import { moveChoice, type MoveChoice } from '../sequences/moves/people-moves.schemas.js';
import { durationText } from '../values/duration.js';

const HISTORY_LINES = 20;
const FILES_TOGETHER =
  'in any order; all of them or none: a form, product or offer that stands in another of them than before moves there';

interface ChangeFlags {
  unarchive?: boolean;
  movePeople?: string;
  within?: string;
  map?: Record<string, string>;
  plan?: readonly PlanToken[];
  json?: boolean;
}

/** Funnels as code: plan, apply, history, rollback, export, archive. */
export function addFunnelCommands(program: Command, tools: CommandTools): void {
  addPlanAndApply(program, tools);
  addHistory(program, tools);
  addRollback(program, tools);
  addArchive(program, tools);
  addExport(program, tools);
  addLint(program, tools);
  addSchema(program, tools);
}

function addPlanAndApply(program: Command, { within, print, note }: CommandTools): void {
  const plan = program
    .command('plan')
    .description('show what applying funnel files would change, and for whom')
    .argument('<files...>', FILES_TOGETHER);
  withPeople(plan)
    .addOption(unarchiveOption())
    .action(async (files: string[], flags: ChangeFlags) => {
      const move = choiceOf(plan, flags);
      await within(async ({ funnels }) => {
        const planned = await funnels.planFile(files, { move, unarchive: flags.unarchive });
        const file = files.join(' ');
        print(flags.json ?? false, { ...planned, applied: false }, () => inWords(planned));
        warn(note, file, planned);
        if (planned.words.length > 0)
          note(
            `To apply this or nothing: wellspring apply ${file}${peopleFlags(move)}${flags.unarchive ? ' --unarchive' : ''} --plan ${planned.token}`,
          );
      });
    });
  const apply = program
    .command('apply')
    .description('make the database say what the funnel files say')
    .argument('<files...>', FILES_TOGETHER);
  withPeople(apply)
    .addOption(planOption())
    .addOption(unarchiveOption())
    .action(async (files: string[], flags: ChangeFlags) => {
      const move = choiceOf(apply, flags);
      await within(async ({ funnels }) => {
        const applied = await funnels.applyFile(files, {
          ...{ move, tokens: flags.plan, unarchive: flags.unarchive },
          by: 'command',
        });
        print(flags.json ?? false, { ...applied, applied: true }, () => inWords(applied));
        warn(note, files.join(' '), applied);
      });
    });
}

function addHistory(program: Command, { within, print }: CommandTools): void {
  program
    .command('history')
    .description('show the versions of a funnel, newest first, with what each changed')
    .argument('<funnel>')
    .option('--json')
    .action(async (funnel: string, { json = false }: { json?: boolean }) =>
      within(async ({ funnels }) => {
        const versions = await funnels.history(funnel, { limit: HISTORY_LINES });
        print(json, { funnel, versions }, () =>
          versions
            .map(({ version, appliedAt, restored, appliedBy, changes }) =>
              [
                `version ${version}, ${appliedAt.toISOString()}${appliedBy === null ? '' : ` by ${appliedBy}`}${restored === null ? '' : `, brought back version ${restored}`}`,
                ...changes.map((change) => `    ${change}`),
              ].join('\n'),
            )
            .join('\n'),
        );
      }),
    );
}

function addRollback(program: Command, { within, print, note }: CommandTools): void {
  const rollback = program
    .command('rollback')
    .description('bring back an earlier version of a funnel, its mails and files included')
    .argument('<funnel>')
    .option('--to <version>', 'which version, by default the one before the present', wholeNumber)
    .option('--dry-run', 'show what it would change, and for whom');
  withPeople(rollback)
    .addOption(planOption())
    .action(async (funnel: string, flags: ChangeFlags & { to?: number; dryRun?: boolean }) => {
      const move = choiceOf(rollback, flags);
      const { to, plan: tokens, dryRun = false, json = false } = flags;
      await within(async ({ funnels }) => {
        const plan = await funnels.rollback(funnel, { to, dryRun, move, tokens, by: 'command' });
        print(json, { ...plan, applied: !dryRun }, () => inWords(plan));
        warn(note, `${funnel} version ${plan.to}`, plan);
        if (dryRun && plan.words.length > 0)
          note(
            `To do this or nothing: wellspring rollback ${funnel} --to ${plan.to}${peopleFlags(move)} --plan ${plan.token}`,
          );
      });
    });
}

function addArchive(program: Command, { within, print }: CommandTools): void {
  program
    .command('archive')
    .description(
      'put a funnel away: its pages are closed and nobody joins it; figures, orders and downloads stay',
    )
    .argument('<funnel>')
    .addOption(
      new Option(
        '--people <how>',
        'end: who is in its sequence is ended, and its offers are closed; finish: they go on, and the offers stay on sale for them',
      )
        .choices(['end', 'finish'])
        .default('end'),
    )
    .option('--json')
    .action(async (funnel: string, { people, json = false }: { people: 'end' | 'finish'; json?: boolean }) =>
      within(async ({ funnelArchive }) => {
        await funnelArchive.archive(funnel, { people, by: 'command' });
        print(json, { funnel, archived: true, people }, () => `The funnel ${funnel} is archived.`);
      }),
    );
  program
    .command('unarchive')
    .description('bring an archived funnel back, as it was')
    .argument('<funnel>')
    .option('--json')
    .action(async (funnel: string, { json = false }: { json?: boolean }) =>
      within(async ({ funnelArchive }) => {
        await funnelArchive.unarchive(funnel);
        print(json, { funnel, archived: false }, () => `The funnel ${funnel} is back.`);
      }),
    );
}

function unarchiveOption(): Option {
  return new Option('--unarchive', 'bring a funnel back by it that is archived, which is refused else');
}

function addExport(program: Command, { within, out, note }: CommandTools): void {
  program
    .command('export')
    .description('write the funnels as files describe them')
    .argument('[funnel]')
    .option(
      '--no-templates',
      'without the texts of mails and pages: an apply takes those of the folder templates',
    )
    .option(
      '--to <folder>',
      'with the files they deliver: each funnel into a folder of its own there, as <funnel>/funnel.yaml; what is there is written over',
    )
    .option('--json')
    .action(
      async (
        funnel: string | undefined,
        { json = false, templates: withTexts, to }: { json?: boolean; templates: boolean; to?: string },
      ) =>
        within(async ({ funnels, funnelFolders }) => {
          if (to === undefined) {
            const yaml = await funnels.export(funnel, { withTexts });
            out(json ? `${JSON.stringify({ yaml })}\n` : yaml);
            return;
          }
          const paths = await funnelFolders.write(to, funnel, { withTexts });
          out(json ? `${JSON.stringify({ paths })}\n` : paths.map((path) => `${path}\n`).join(''));
          note(`To bring them elsewhere: wellspring apply ${paths.join(' ')}`);
        }),
    );
}

/** Without a database, so that it runs anywhere the files are. Exit code 1 when something would be refused. */
function addLint(program: Command, { print, refuse }: CommandTools): void {
  program
    .command('lint')
    .description('look funnel files through before they are applied; needs no database')
    .argument(
      '<files...>',
      'taken together: sequences that people are moved to are looked for in all of them',
    )
    .option('--strict', 'fail on warnings, too')
    .option('--json')
    .action(
      async (files: string[], { strict = false, json = false }: { strict?: boolean; json?: boolean }) => {
        const { lintFiles } = await import('../funnels/lint/funnel-lint.files.js');
        const linted = await lintFiles(files, new SystemClock().now());
        const findings = linted.flatMap(({ file, findings: found }) =>
          found.map((one) => ({ file, ...one })),
        );
        const ok = findings.every(({ severity }) => !strict && severity === 'warning');
        print(json, { ok, findings }, () =>
          findings.length === 0 ? 'Nothing found.' : findings.map(lintText).join('\n'),
        );
        if (!ok) refuse();
      },
    );
}

function addSchema(program: Command, { out }: CommandTools): void {
  program
    .command('schema')
    .description('write the JSON Schema of funnel files, for editors')
    .action(() => out(`${JSON.stringify(funnelJsonSchema(), null, 2)}\n`));
}

function lintText({ file, ...finding }: Finding & { file: string }): string {
  return `${findingText(file, finding)} [${finding.severity} ${finding.rule}]`;
}

/** On the error output: what a plan would change is all that stands on the other. */
function warn(note: CommandTools['note'], name: string, { warnings }: FunnelPlan): void {
  for (const warning of warnings) note(`warning: ${findingText(name, warning)} [${warning.rule}]`);
}

function inWords({ words }: FunnelPlan): string {
  return words.length === 0 ? 'No changes.' : words.join('\n');
}

/** What becomes of who is in the sequence; without it they stay in the version they joined. */
function withPeople(command: Command): Command {
  return command
    .addOption(
      new Option('--move-people <how>', 'take who is in the sequence to the new version').choices([
        'forward-only',
        'catch-up',
        're-map',
      ]),
    )
    .option(
      '--within <duration>',
      'with catch-up: how far back steps that were passed still come, such as "7 days"',
    )
    .option(
      '--map <step=step>',
      'with re-map: from a step of now to one of the new version, repeatable',
      mapped,
    )
    .option('--json');
}

/** The choice as it was typed, for the command that carries it out. */
function peopleFlags(move: MoveChoice | undefined): string {
  if (move === undefined) return '';
  const within = move.within === undefined ? '' : ` --within "${durationText(move.within)}"`;
  const maps = Object.entries(move.steps ?? {}).map(([from, to]) => ` --map ${from}=${to}`);
  return ` --move-people ${move.mode}${within}${maps.join('')}`;
}

function planOption(): Option {
  return new Option(
    '--plan <plan>',
    'do what this plan showed or nothing: its token, or a file of plan --json; with --move-people it is refused when somebody who was there then would get, or lose, a mail that it did not show',
  ).argParser(planTokens);
}

function choiceOf(
  command: Command,
  { movePeople: mode, within, map: steps }: ChangeFlags,
): MoveChoice | undefined {
  if (mode === undefined) {
    if (within !== undefined || steps !== undefined)
      command.error('--within and --map belong to --move-people');
    return undefined;
  }
  const choice = moveChoice.safeParse({
    mode,
    ...(within === undefined ? {} : { within }),
    ...(steps === undefined ? {} : { steps }),
  });
  if (choice.success) return choice.data;
  const flags: Record<string, string> = { within: '--within', steps: '--map' };
  const words = choice.error.issues.map(
    ({ path: [name], message }) => `${flags[String(name)] ?? ''} ${message}`,
  );
  return command.error(words.join('; '));
}

function mapped(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [from, to, ...rest] = text.split('=');
  if (!from || !to || rest.length > 0) throw new InvalidArgumentError('Write it as step=step.');
  return { ...before, [from]: to };
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Use the number of a version, from 1.');
  return Number(text);
}

function planTokens(text: string): PlanToken[] {
  const tokens = parsePlanTokens(text) ?? parsePlanTokens(tokenInFile(text));
  if (tokens) return tokens;
  throw new InvalidArgumentError('Use the token that plan shows, or a file that plan --json wrote.');
}

function tokenInFile(path: string): string {
  try {
    const plan: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return typeof plan === 'object' && plan !== null && 'token' in plan ? String(plan.token) : '';
  } catch {
    return '';
  }
}
