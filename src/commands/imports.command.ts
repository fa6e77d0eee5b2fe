import { createWriteStream, existsSync } from 'node:fs';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { CommandTools } from './command-tools.js';
import type { ImportJob } from '../imports/import-job.js';
import { importJson, importOptions } from '../imports/imports.schemas.js';
import { reportCsv } from '../imports/report-csv.js';

const SECOND_MS = 1_000;

interface Given {
  column: string[];
  status?: string;
  consent?: string;
  existing?: string;
  tag: string[];
  list: string[];
  dates?: string;
  encoding?: string;
  delimiter?: string;
  dryRun?: boolean;
  rejected?: string;
  json?: boolean;
}

const more = (value: string, all: string[]): string[] => [...all, value];

/** `import` and `export-subscribers`: tables of people on their way in and out. */
export function addImportCommands(
  program: Command,
  { within, print, out, note, wrongUse }: CommandTools,
): void {
  program
    .command('import')
    .description(
      'make subscribers of a table, or of a ZIP archive of tables; those of Mailchimp, Kit, MailerLite and AWeber are known',
    )
    .argument('<file>')
    .option('--dry-run', 'count what would become of the rows, and change nobody')
    .option(
      '--column <header=target>',
      'what a column is, such as "E-Mail=email" or "#3=field:plan"',
      more,
      [],
    )
    .option('--status <status>', 'of people whose row does not say: pending, or active with --consent')
    .option('--consent <words>', 'what everybody of the table agreed to; kept as evidence')
    .option('--existing <what>', 'people who are here already: fill gaps, overwrite, or skip')
    .option('--tag <name>', 'put on everybody; may be repeated', more, [])
    .option('--list <key>', 'that everybody joins; may be repeated', more, [])
    .option('--dates <order>', 'how 3/4/2024 is meant: dmy or mdy')
    .option('--encoding <name>', 'utf-8, utf-16le, utf-16be or windows-1252')
    .option('--delimiter <sign>', 'between the cells; "tab" for a tabulator')
    .option('--rejected <file>', 'write the rows that came to nothing there')
    .option('--json')
    .action(async (file: string, given: Given) => {
      if (!existsSync(file)) program.error(`there is no file ${file}`);
      const read = importOptions.safeParse(optionsOf(given));
      if (!read.success) return wrongUse(program, read.error.issues);
      await within(async ({ imports }) => {
        const dryRun = given.dryRun === true;
        const { id } = await imports.create({ fileName: basename(file), dryRun, options: read.data });
        await imports.takeFile(id, file, nowAndThen('read', note));
        // A server beside it takes some of the batches: its numbers, and its rows for the report, belong to the answer.
        await imports.run(id, { onProgress: nowAndThen(dryRun ? 'judged' : 'took', note), toTheEnd: true });
        const job = await imports.get(id);
        if (given.rejected !== undefined) {
          const report = reportCsv(job.source, imports.report(id));
          await pipeline(Readable.from(report), createWriteStream(given.rejected));
        }
        print(given.json === true, importJson(job), () => inWords(job));
      });
    });

  program
    .command('export-subscribers')
    .description('write subscribers as a table that spreadsheets cannot execute and import reads back')
    .option('--segment <key>', 'only those of a segment')
    .action(async ({ segment }: { segment?: string }) =>
      within(async ({ exports }) => {
        const pieces = await exports.subscribers(segment ?? null, 'command line');
        for await (const piece of pieces) out(piece);
      }),
    );
}

function optionsOf(given: Given): Record<string, unknown> {
  const columns = given.column.map((text) => {
    const at = text.lastIndexOf('=');
    return at < 1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  });
  const named = {
    ...{ status: given.status, consentText: given.consent, existing: given.existing, dateOrder: given.dates },
    ...{ encoding: given.encoding, delimiter: given.delimiter === 'tab' ? '\t' : given.delimiter },
  };
  const said = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
  return { ...said, columns: Object.fromEntries(columns), tags: given.tag, lists: given.list };
}

/** Says how far the work is, a line a second at most. */
function nowAndThen(what: string, note: CommandTools['note']): (rows: number) => void {
  let saidAt = performance.now();
  return (rows) => {
    if (performance.now() - saidAt < SECOND_MS) return;
    saidAt = performance.now();
    note(`${what} ${rows} rows`);
  };
}

function inWords({ counts, advice, source, dryRun, totalRows }: ImportJob): string {
  const numbers = (all: object): string =>
    Object.entries(all)
      .filter(([, count]) => count !== 0)
      .map(([name, count]) => `${name} ${String(count)}`)
      .join(', ');
  return [
    `${totalRows} rows of ${source?.shape ?? 'a table'} (${source?.encoding ?? ''}): ${numbers(counts)}${dryRun ? ' (dry run, nothing changed)' : ''}`,
    ...(source && source.ignored.length > 0
      ? [`Columns nothing was made of: ${source.ignored.join(', ')}`]
      : []),
    ...(numbers(advice) === '' ? [] : [`Worth a look: ${numbers(advice)}`]),
  ].join('\n');
}
