import { InvalidArgumentError, type Command } from 'commander';
import type { BroadcastReport } from '../broadcasts/broadcast.js';
import { reportJson } from '../broadcasts/broadcast-json.js';
import { broadcastChange, resendBody } from '../broadcasts/broadcasts.schemas.js';
import type { MessageRow } from '../delivery/ledger/messages.queries.js';
import { messageQuery } from '../delivery/ledger/messages.schemas.js';
import { fieldProblems } from '../infra/http/field-problems.js';
import { toPage } from '../infra/http/page.js';
import type { CommandTools } from './command-tools.js';

interface Written {
  subject?: string;
  template?: string;
  title?: string;
  json?: boolean;
}

interface Wanted {
  state?: string;
  broadcast?: string;
  funnel?: string;
  step?: string;
  limit?: string;
  cursor?: string;
  json?: boolean;
}

const WHICH = 'such as broadcast:7';

/** Commands about broadcasts under way, and about the mails of all kinds. */
export function addBroadcastCommands(program: Command, tools: CommandTools): void {
  const broadcast = program.command('broadcast').description('broadcasts that have been started');
  addResend(broadcast, tools);
  addWords(broadcast, tools);
  addMails(program, tools);
}

function addResend(broadcast: Command, { within, print }: CommandTools): void {
  broadcast
    .command('resend')
    .description('write a draft that sends a broadcast once more, to those who have not opened it')
    .argument('<broadcast>', WHICH, readBroadcast)
    .option('--subject <words>', 'in place of the first one')
    .option('--template <name>', 'another mail, such as emails/story')
    .option('--title <words>', 'your own name for it')
    .option('--unless <what>', 'who is passed by: opened, or clicked')
    .option('--leave-out-waiting', 'go without those whose first mail still waits')
    .option('--json')
    .action(
      async (
        id: string,
        { json = false, ...given }: Written & { unless?: string; leaveOutWaiting?: boolean },
      ) => {
        const read = resendBody.safeParse(given);
        if (!read.success) return wrongUse(broadcast, read.error.issues);
        const { subject = null, template = null, title = null, ...rest } = read.data;
        await within(async ({ broadcastResends }) => {
          const draft = await broadcastResends.draft(id, { subject, template, title, ...rest });
          const words = `broadcast:${draft.id} is written as a draft, “${draft.title}”. Look at it and start it on the page Broadcasts.`;
          print(json, reportJson(draft), () => words);
        });
      },
    );
}

function addWords(broadcast: Command, { within, print }: CommandTools): void {
  broadcast
    .command('words')
    .description('give a draft, or what has not gone of a paused broadcast, other words')
    .argument('<broadcast>', WHICH, readBroadcast)
    .option('--subject <words>', 'in place of the one in the mail')
    .option('--template <name>', 'the mail, such as emails/story; it is taken as it is written now')
    .option('--title <words>', 'your own name for it')
    .option('--json')
    .action(async (id: string, { json = false, ...given }: Written) => {
      const read = broadcastChange.safeParse(given);
      if (!read.success) return wrongUse(broadcast, read.error.issues);
      const { subject, template, title } = read.data;
      const change = Object.entries({ subject, template, title }).filter(([, value]) => value !== undefined);
      await within(async ({ broadcastWords }) => {
        const changed = await broadcastWords.edit(id, Object.fromEntries(change));
        print(json, reportJson(changed), () => changedInWords(changed));
      });
    });
}

function changedInWords({ id, state, counts }: BroadcastReport): string {
  const waiting = (counts['ready'] ?? 0) + (counts['held'] ?? 0);
  const which =
    state === 'paused' && waiting > 0
      ? ` ${mails(waiting)} that ${waiting === 1 ? 'waits gets' : 'wait get'} them.`
      : '';
  return `broadcast:${id} has these words now.${which}`;
}

function addMails(program: Command, { within, print }: CommandTools): void {
  program
    .command('mails')
    .description('list mails, newest first; names no address')
    .option('--state <state>', 'such as held, unknown, rejected or ready')
    .option('--broadcast <broadcast>', WHICH, readBroadcast)
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
      : `broadcast:${broadcastId}`;
  const why = stateReason === null ? '' : `: ${stateReason}`;
  return `${id} of ${of}, due ${dueAt.toISOString()}, ${state}${why}`;
}

function readBroadcast(text: string): string {
  const id = /^(?:broadcast:)?(\d{1,18})$/.exec(text)?.[1];
  if (id !== undefined) return String(BigInt(id));
  throw new InvalidArgumentError(`use one ${WHICH}`);
}

function wrongUse(command: Command, issues: Parameters<typeof fieldProblems>[0]): never {
  return command.error(
    fieldProblems(issues, 'options')
      .map(({ field, message }) => `${field}: ${message}`)
      .join('\n'),
  );
}

function mails(count: number): string {
  return count === 1 ? '1 mail' : `${count} mails`;
}
