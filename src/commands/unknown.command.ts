import type { Command } from 'commander';
import type { CommandServices } from './command.services.js';
import { nameOfBroadcast, readNamed, SUCH_AS, type Named } from './broadcast-name.js';
import { mailsInWords, type CommandTools } from './command-tools.js';

interface UnknownMails {
  /** As the owner names it: `broadcast:7`, or the key of a funnel. */
  what: string;
  unknown: number;
  resendable: number;
}

/** Commands for mails of which nobody knows whether the relay took them. */
export function addUnknownCommands(program: Command, { within, print, refuse }: CommandTools): void {
  const unknown = program
    .command('unknown')
    .description('mails of which nobody knows whether the relay took them');
  unknown
    .command('list')
    .description('show how many there are, and how many of them you may send once more')
    .option('--json')
    .action(async ({ json = false }: { json?: boolean }) =>
      within(async (services) => {
        const all = await unknownMails(services);
        print(json, { unknown: all }, () => all.map(inWords).join('\n') || 'There are none.');
      }),
    );
  unknown
    .command('resend')
    .description('send those of one broadcast or funnel once more, under the same Message-ID')
    .argument('<what>', `a broadcast ${SUCH_AS}, or the key of a funnel`, readNamed)
    .option('--yes', 'send them; without it you are only told how many there are')
    .option('--json')
    .action(async (named: Named, { yes = false, json = false }: { yes?: boolean; json?: boolean }) =>
      within(async (services) => {
        const what = nameOf(named);
        const all = await unknownMails(services);
        const resendable = all.find((one) => one.what === what)?.resendable ?? 0;
        if (yes && resendable > 0) {
          const resent = await resend(services, named);
          const words = `${mailsInWords(resent)} of ${what} ${resent === 1 ? 'goes' : 'go'} out once more.`;
          return print(json, { what, resendable, resent }, () => words);
        }
        refuse();
        print(json, { what, resendable, resent: 0 }, () => whyNot(what, resendable, all));
      }),
    );
}

function nameOf(named: Named): string {
  return 'broadcast' in named ? nameOfBroadcast(named.broadcast) : named.name;
}

/** Broadcasts first; what has no unknown mail is left out. */
async function unknownMails({
  broadcastUnknowns,
  sequenceUnknowns,
}: CommandServices): Promise<UnknownMails[]> {
  const [broadcasts, sequences] = [await broadcastUnknowns.all(), await sequenceUnknowns.all()];
  return [
    ...broadcasts.map(({ broadcastId, ...counts }) => ({ what: nameOfBroadcast(broadcastId), ...counts })),
    ...sequences.map(({ funnelKey, ...counts }) => ({ what: funnelKey, ...counts })),
  ];
}

async function resend(
  { broadcastUnknowns, sequenceUnknowns }: CommandServices,
  named: Named,
): Promise<number> {
  return 'broadcast' in named
    ? broadcastUnknowns.resend(named.broadcast)
    : sequenceUnknowns.resend(named.name);
}

function whyNot(what: string, resendable: number, all: readonly UnknownMails[]): string {
  if (resendable > 0)
    return [
      `${mailsInWords(resendable)} of ${what} may be sent once more under the same Message-ID. Who has got it already may get it twice, unless their mail system drops the second copy.`,
      `Nothing was sent. To send: wellspring unknown resend ${what} --yes`,
    ].join('\n');
  const others = all.filter((one) => one.resendable > 0).map((one) => one.what);
  const among = others.length === 0 ? 'of nothing else either' : `of ${others.join(', ')}`;
  return `Nothing was sent: of ${what} no mail may be sent once more. Such mails are there ${among}.`;
}

function inWords({ what, unknown, resendable }: UnknownMails): string {
  return `${what}: ${mailsInWords(unknown)} not certain, ${resendable} may be sent once more`;
}
