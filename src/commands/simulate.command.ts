import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { CommandTools } from './command-tools.js';
import { readFunnelText } from '../funnels/yaml/funnel-text.files.js';
import { startText } from '../funnels/simulation/virtual-broadcasts.schemas.js';
import { dayCount } from '../funnels/simulation/personas.schemas.js';
import type { NamedText } from '../funnels/simulation/simulation-files.js';
import { timelineDifferences } from '../funnels/simulation/timeline-diff.js';
import { headline, simulationText, summaryText } from '../funnels/simulation/timeline-text.js';
import { SystemClock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';

interface Options {
  with?: string[];
  personas?: string;
  start?: string;
  days?: string;
  expect?: string;
  update?: boolean;
  summary?: boolean;
  json?: boolean;
}

/** `simulate`: what a funnel would do, without a database. Exit code 1 when it is not what `--expect` says. */
export function addSimulateCommand(program: Command, { print, refuse, note, timeZone }: CommandTools): void {
  program
    .command('simulate')
    .description(
      'show every mail, wait, branch, offer and payment of a funnel on a virtual clock; writes nothing',
    )
    .argument('<file>', 'the funnel that people sign up with')
    .option('--with <file...>', 'further funnels, to which its steps lead')
    .option('--personas <file>', 'who signs up and what they do; some usual people when left out')
    .option('--start <instant>', 'when it begins, such as 2026-03-02 or 2026-03-02T09:00:00Z')
    .option('--days <number>', 'how long it lasts, 90 days when neither this nor the personas say it')
    .option('--expect <file>', 'compare with the timeline in this file')
    .option('--update', 'write the timeline to the file of --expect instead')
    .option('--summary', 'print the sums only')
    .option('--json')
    .action(async (file: string, options: Options) => {
      const wishes = wishesOf(program, options);
      const { expect, update = false, summary = false, json = false } = options;
      if (update && expect === undefined)
        program.error('--update needs --expect, which names the file to write');
      if (summary && expect !== undefined)
        program.error('--summary prints sums and --expect compares all of it: give one of them');
      const [{ simulate }, { simulationFromFiles }] = await Promise.all([
        import('../funnels/simulation/simulate.js'),
        import('../funnels/simulation/simulation-files.js'),
      ]);
      const funnels = await Promise.all([file, ...(options.with ?? [])].map(named));
      const personas = options.personas === undefined ? null : await named(options.personas);
      const order = simulationFromFiles(funnels as [NamedText, ...NamedText[]], personas, {
        ...wishes,
        zone: timeZone(),
      });
      if (expect !== undefined && wishes.start === null && order.personas.start === undefined)
        program.error(
          '--expect needs a beginning that stays the same: say --start, or start in the file of the personas',
        );
      const simulation = simulate(order);
      const text = simulationText(simulation);
      if (expect === undefined) {
        print(json, simulation, () =>
          summary ? `${headline(simulation)}\n\n${summaryText(simulation.summary)}` : text,
        );
        return;
      }
      await keepTo({ expect, text, update, json }, { print, refuse, note });
    });
}

/** Writes the timeline down as what is expected, or says what is not as it was written down. */
async function keepTo(
  { expect, text, update, json }: { expect: string; text: string; update: boolean; json: boolean },
  { print, refuse, note }: Pick<CommandTools, 'print' | 'refuse' | 'note'>,
): Promise<void> {
  if (update) {
    await writeFile(expect, `${text}\n`).catch((cause: unknown) => {
      throw new DomainError('EXPECTATION_NOT_WRITTEN', `${expect} cannot be written`, { expect }, { cause });
    });
    print(json, { expect, written: true }, () => `wrote ${expect}`);
    return;
  }
  if (!existsSync(expect)) {
    const message = `there is no ${expect}; --update writes it`;
    if (json) print(json, { expect, ok: false, message, differences: [] }, () => message);
    else note(message);
    refuse();
    return;
  }
  const differences = timelineDifferences(await readFunnelText(expect), text);
  print(json, { expect, ok: differences.length === 0, differences }, () =>
    differences.length === 0
      ? `as ${expect} says`
      : [
          `not as ${expect} says; - is what it says, + is what happens now:`,
          ...differences,
          'when that is meant, --update writes it',
        ].join('\n'),
  );
  if (differences.length > 0) refuse();
}

async function named(name: string): Promise<NamedText> {
  return { name, text: await readFunnelText(name) };
}

function wishesOf(
  program: Command,
  { start, days }: Options,
): { start: Date | null; days: number | null; now: Date } {
  const from = startText.optional().safeParse(start);
  if (!from.success)
    program.error('--start: use a date such as 2026-03-02, or an instant such as 2026-03-02T09:00:00Z');
  const length = dayCount.optional().safeParse(days === undefined ? undefined : Number(days));
  if (!length.success) program.error('--days: use a number of days from 1 to 730');
  return {
    start: from.data === undefined ? null : new Date(from.data),
    days: length.data ?? null,
    now: new SystemClock().now(),
  };
}
