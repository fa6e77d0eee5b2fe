import { exportCell } from '../../imports/export-cell.js';
import type { Membership } from './membership.js';

const COLUMNS = ['email', 'name', 'product', 'product name', 'state', 'began', 'ends'] as const;

/** The first line of a table of members, behind the mark by which spreadsheets know UTF-8. */
export function membersHeader(): string {
  return line('\ufeff', COLUMNS);
}

interface MemberLine extends Membership {
  email: string;
  name: string | null;
  productKey: string;
  productName: string;
}

/** One membership; `ends` is empty for one that is for good. Nothing in it is executed by a spreadsheet. */
export function membersRow(row: MemberLine): string {
  const { email, name, productKey, productName, state, startsAt, endsAt } = row;
  const times = [startsAt.toISOString(), endsAt?.toISOString() ?? ''];
  return line('', [email, name ?? '', productKey, productName, state, ...times]);
}

function line(before: string, cells: readonly string[]): string {
  return `${before}${cells.map(exportCell).join(',')}\r\n`;
}
