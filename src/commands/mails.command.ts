import type { Command } from 'commander';
import type { MessageRow } from '../delivery/ledger/messages.queries.js';
import { messageQuery } from '../delivery/ledger/messages.schemas.js';
import { toPage } from '../infra/http/page.js';
import { nameOfBroadcast, readBroadcast, SUCH_AS } from './broadcast-name.js';
import type { CommandTools } from './command-tools.js';

interface Wanted {
  state?: string;
  broadcast?: string;
  funnel?: string;
  step?: string;
  limit?: string;
  cursor?: string;
  json?: boolean;
}

export function addMailsCommand(program: Command, { within, print, wrongUse }: CommandTools): void {
  program
    .command('mails')
    .description('list mails, newest first; names no address')
    .option('--state <state>', 'such as held, unknown, rejected or ready')
    .option('--broadcast <broadcast>', SUCH_AS, readBroadcast)
    .option('--funnel <key>', 'whose step it is; with --step')
    .option('--step <key>', 'that sends them; with --funnel')
    .option('--limit <count>', 'at most so many, 50 where left out')
    .option('--cursor <words>', 'go on behind an earlier list, which ends with them')
    .option('--json')
    .action(async ({ json = false, broadcast, ...given }: Wanted) => {
      const read = messageQuery.safeParse({
        ...given,
        ...(broadcast !== undefined && { broadcastId: broadcast }),
      });
      if (!read.success) return wrongUse(program, read.error.issues);
      const { cursor, limit, ...filter } = read.data;
      await within(async ({ messages }) => {
        const rows = await messages.list({ ...filter, beforeId: cursor, limit: limit + 1 });
        const page = toPage(rows, limit, (row) => row);
        const more = page.nextCursor === null ? [] : [`More of them: --cursor ${page.nextCursor}`];
        print(json, page, () => [...page.data.map(inWords), ...more].join('\n') || 'There are none.');
      });
    });
}

function inWords({
  id,
  state,
  stateReason,
  broadcastId,
  funnelKey,
  stepKey,
  kind,
  dueAt,
}: MessageRow): string {
  const of =
    broadcastId === null
      ? [funnelKey, stepKey ?? kind].filter(Boolean).join('/')
      : nameOfBroadcast(broadcastId);
  const why = stateReason === null ? '' : `: ${stateReason}`;
  return `${id} of ${of}, due ${dueAt.toISOString()}, ${state}${why}`;
}
