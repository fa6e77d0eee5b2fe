import type { Command } from 'commander';
import { placeInWords, WRITTEN } from '../delivery/mails/written-mail.js';
import type { PreflightFinding } from '../delivery/preflight/mail-checks.js';
import type { PreflightReport } from '../delivery/preflight/preflight.service.js';
import type { FunnelPreflight } from '../funnels/templates/funnel-preflight.service.js';
import { readNamed, SUCH_AS, type Named } from './broadcast-name.js';
import { LEVELS, type CommandTools } from './command-tools.js';

/** Exit code 1 when something must be put right before the first mail. */
export function addPreflightCommand(program: Command, { within, print, refuse }: CommandTools): void {
  program
    .command('preflight')
    .description('check the mails of an applied funnel, one template, or a broadcast, before they are sent')
    .argument(
      '<what>',
      `key of a funnel, a template such as emails/welcome, or a broadcast ${SUCH_AS}`,
      readNamed,
    )
    .option('--json')
    .action(async (what: Named, { json = false }: { json?: boolean }) =>
      within(async ({ preflight, funnelPreflight, broadcasts }) => {
        const check = async (): Promise<FunnelPreflight | PreflightReport> => {
          if ('broadcast' in what) return broadcasts.check(what.broadcast);
          return what.name.includes('/')
            ? preflight.checkTemplate({ template: what.name })
            : funnelPreflight.check(what.name);
        };
        const result = await check();
        const mails = 'mails' in result ? result.mails : [result];
        const sender = 'mails' in result ? result.sender : [];
        print(json, result, () => [...mails.map(reportInWords), ...sender.map(findingInWords)].join('\n'));
        if (!result.ok) refuse();
      }),
    );
}

function reportInWords({ template, findings }: PreflightReport): string {
  if (findings.length === 0)
    return `ok   ${template.startsWith(WRITTEN) ? template : `templates/${template}.mjml`}`;
  return findings.map(findingInWords).join('\n');
}

function findingInWords({ level, message, file, line, mail }: PreflightFinding): string {
  const named = mail ? placeInWords(mail) : file;
  // The message of a template error names its place already.
  const place =
    named === undefined || message.includes(named) ? '' : `${named}${line === undefined ? '' : `:${line}`}: `;
  return `${LEVELS[level]} ${place}${message}`;
}
