/** One line of the result: `{measure, value, unit, bar, ok}`. Without a bar it is told for the reader, and `ok`. */
export interface Row {
  measure: string;
  value: number;
  unit: string;
  /** The least value that is good enough, or the greatest when `atMost`. */
  bar: number | null;
  ok: boolean;
  /** For the table only. */
  note?: string;
}

export interface BenchContext {
  /** A smoke run: a few seconds for each measure; the numbers are rough and no bar decides. */
  short: boolean;
  /** `--rows`: how many the planning of steps and broadcasts is measured with, in place of a million. */
  rows: number | null;
  /** Whether `--only` leaves this measure in; a module with one measure need not ask. */
  wants(measure: string): boolean;
  /** For tables and progress; goes to standard error with `--json`. */
  print(line: string): void;
}

/**
 * What a file in `measures` exports under the name `measure`. The runner finds the files by itself and runs them one
 * after the other; `--only NAME` takes the file of that name, or every measure with NAME in its name.
 */
export type Measure = (context: BenchContext) => Promise<Row[]>;

export function atLeast(measure: string, value: number, bar: number, unit = 'x'): Row {
  return { measure, value: rounded(value), unit, bar, ok: value >= bar };
}

export function atMost(measure: string, value: number, bar: number, unit: string): Row {
  return { measure, value: rounded(value), unit, bar, ok: value <= bar, note: 'at most' };
}

export function fact(measure: string, value: number, unit: string, note?: string): Row {
  return {
    measure,
    value: rounded(value),
    unit,
    bar: null,
    ok: true,
    ...(note === undefined ? {} : { note }),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper;
}

/** Never rounded up past a bar: three digits, cut off. */
function rounded(value: number): number {
  return Math.floor(value * 1000) / 1000;
}

export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  return rows.map(line).join('\n');
}
