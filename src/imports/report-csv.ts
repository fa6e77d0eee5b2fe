import { exportCell } from './export-cell.js';
import type { ImportSource } from './import-job.js';

interface ReportLine {
  line: number;
  reason: string;
  email: string | null;
  cells: string[] | null;
}

/** Begins the reason of a row whose address stands in an earlier one; its line follows. */
export const SAME_ADDRESS = 'the same address as in line';

/**
 * The report of an import as a table: line, reason, address, and the row as it was where it was not taken at all. Of an
 * archive, each line is named with the table it stands in.
 */
export async function* reportCsv(
  source: ImportSource | null,
  batches: AsyncIterable<readonly ReportLine[]>,
): AsyncGenerator<string> {
  const tables = source?.tables ?? [];
  const isArchive = tables.length > 1;
  // The tables of an archive have columns of their own each.
  const headers = isArchive ? [] : (source?.columns.map(({ header }) => header) ?? []);
  const place = isArchive ? ['table', 'line'] : ['line'];
  yield `\ufeff${[...place, 'reason', 'address', ...headers].map(exportCell).join(',')}\r\n`;
  for await (const rows of batches) {
    yield rows
      .map(({ line, reason, email, cells }) => {
        const { name, line: own } = placeOf(line, tables);
        const where = isArchive ? [name, String(own)] : [String(own)];
        const why = isArchive ? withTable(reason, tables) : reason;
        return [...where, why, email ?? '', ...(cells ?? [])].map(exportCell).join(',');
      })
      .join('\r\n')
      .concat('\r\n');
  }
}

/** The table in which a line of the whole archive stands, and its line there. */
function placeOf(line: number, tables: ImportSource['tables']): { name: string; line: number } {
  const table = tables.findLast(({ linesBefore }) => linesBefore < line);
  return { name: table?.name ?? '', line: line - (table?.linesBefore ?? 0) };
}

function withTable(reason: string, tables: ImportSource['tables']): string {
  if (!reason.startsWith(SAME_ADDRESS)) return reason;
  const { name, line } = placeOf(Number(reason.slice(SAME_ADDRESS.length)), tables);
  return `${SAME_ADDRESS} ${line} of ${name}`;
}
