import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table, type BenchContext, type Measure, type Row } from './bench.js';

/**
 * `npm run bench [-- --short] [-- --json] [-- --only NAME] [-- --rows N]`. Exit code 1 when a bar is missed, never with `--short`,
 * which only shows that the measures run.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      ...{ short: { type: 'boolean' }, json: { type: 'boolean' } },
      ...{ only: { type: 'string' }, rows: { type: 'string' } },
    },
  });
  const { short = false, json = false, only } = values;
  const many = values.rows === undefined ? null : Number(values.rows);
  if (many !== null && !(Number.isInteger(many) && many >= 20_000)) throw new Error('--rows: at least 20000');
  const print = (line: string): void => (json ? console.error(line) : console.log(line));
  const folder = join(import.meta.dirname, 'measures');
  const files = (await readdir(folder)).filter((file) => file.endsWith('.js')).toSorted();
  const named = files.filter((file) => file === `${only}.js`);
  const rows: Row[] = [];
  for (const file of named.length > 0 ? named : files) {
    const context: BenchContext = {
      short,
      rows: many,
      print,
      wants: (measure) =>
        only === undefined || named.length > 0 || measure.includes(only) || only.startsWith(measure),
    };
    const { measure } = (await import(join(folder, file))) as { measure: Measure };
    for (const row of await measure(context)) {
      if (only !== undefined && named.length === 0 && !row.measure.includes(only)) continue;
      rows.push(row);
      if (json) {
        const { measure, value, unit, bar, ok } = row;
        console.log(JSON.stringify({ measure, value, unit, bar, ok }));
      }
    }
  }
  if (rows.length === 0) throw new Error(`there is no measure like ${only}`);
  if (!json) console.log(`\n${report(rows)}`);
  if (!short && rows.some(({ ok }) => !ok)) process.exitCode = 1;
}

function report(rows: readonly Row[]): string {
  const verdict = ({ bar, ok }: Row): string => (bar === null ? '' : ok ? 'good' : 'MISSED');
  const limit = ({ bar, note }: Row): string =>
    bar === null ? (note ?? '') : `${note === 'at most' ? '<=' : '>='} ${bar}`;
  return table([
    ['measure', 'value', 'unit', 'bar', ''],
    ...rows.map((row) => [row.measure, String(row.value), row.unit, limit(row), verdict(row)]),
  ]);
}

// Said outright: left to end by itself, Node 20 was once seen to spin for ever while it closed its handles.
main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
