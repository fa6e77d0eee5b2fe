import type { Command } from 'commander';
import type { BroadcastReport } from '../broadcasts/broadcast.js';
import { reportJson } from '../broadcasts/broadcast-json.js';
import { broadcastChange, resendBody } from '../broadcasts/broadcasts.schemas.js';
import { nameOfBroadcast, readBroadcast, SUCH_AS } from './broadcast-name.js';
import { mailsInWords, type CommandTools } from './command-tools.js';

interface Written {
  subject?: string;
  template?: string;
  title?: string;
  json?: boolean;
}

export function addBroadcastCommands(program: Command, tools: CommandTools): void {
  const broadcast = program.command('broadcast').description('broadcasts that have been started');
  addResend(broadcast, tools);
  addWords(broadcast, tools);
}

function addResend(broadcast: Command, { within, print, wrongUse }: CommandTools): void {
  broadcast
    .command('resend')
    .description('write a draft that sends a broadcast once more, to those who have not opened it')
    .argument('<broadcast>', SUCH_AS, readBroadcast)
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
          const words = `${nameOfBroadcast(draft.id)} is written as a draft, “${draft.title}”. Look at it and start it on the page Broadcasts.`;
          print(json, reportJson(draft), () => words);
        });
      },
    );
}

function addWords(broadcast: Command, { within, print, wrongUse }: CommandTools): void {
  broadcast
    .command('words')
    .description('give a draft, or what has not gone of a paused broadcast, other words')
    .argument('<broadcast>', SUCH_AS, readBroadcast)
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
      ? ` ${mailsInWords(waiting)} that ${waiting === 1 ? 'waits gets' : 'wait get'} them.`
      : '';
  return `${nameOfBroadcast(id)} has these words now.${which}`;
}
