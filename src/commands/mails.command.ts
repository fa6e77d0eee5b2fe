import type { Command } from 'commander';
import { LEVELS, type CommandTools } from './command-tools.js';
import type { DkimDnsRecord } from '../delivery/signing/dkim-keys.service.js';
import { placeInWords, WRITTEN } from '../delivery/mails/written-mail.js';
import type { PreflightFinding } from '../delivery/preflight/mail-checks.js';
import type { PreflightReport } from '../delivery/preflight/preflight.service.js';
import type { StepPreview, StepPreviewWanted } from '../sequences/previews/mail-previews.service.js';
import type { FunnelPreflight } from '../funnels/templates/funnel-preflight.service.js';

/** RFC 1035 §3.3.14: one string of a TXT record holds 255 octets. */
const MAX_STRING = 255;

/** Commands about the mail that leaves. */
export function addMailCommands(program: Command, tools: CommandTools): void {
  addDkim(program, tools);
  addPreflight(program, tools);
  addPreview(program, tools);
}

function addPreview(program: Command, { within, print }: CommandTools): void {
  program
    .command('preview')
    .description('show a mail as one subscriber would get it now; sends nothing')
    .argument('<template>', 'such as emails/welcome')
    .requiredOption('--to <subscriber>', 'address or id of the subscriber')
    .option('--funnel <key>', 'whose mail it is; by default the first that sends it')
    .option('--step <key>', 'that sends it; by default the first')
    .option('--arm <key>', 'of the split test it is in; by default the first')
    .option('--json')
    .action(
      async (
        template: string,
        { to, json = false, ...which }: { to: string; json?: boolean } & StepPreviewChoice,
      ) =>
        within(async ({ mailPreviews, subscribers }) => {
          const { id } = await subscribers.named(to);
          const shown = await mailPreviews.preview({ template, ...which, subscriberId: id });
          print(json, shown, () => previewInWords(shown));
        }),
    );
}

type StepPreviewChoice = Pick<StepPreviewWanted, 'funnel' | 'step' | 'arm'>;

function previewInWords({ subject, text, step, arm, arms, invented }: StepPreview): string {
  const rest = arms.filter((one) => one !== arm).join(', ');
  return [
    `Subject: ${subject}`,
    ...(step === null ? [] : [`Step: ${step}`]),
    ...(arm === null ? [] : [`Arm: ${arm} of a split test; the others: ${rest}`]),
    ...(invented.length === 0 ? [] : [`Examples, as nobody can know them before: ${invented.join(', ')}`]),
    '',
    text,
  ].join('\n');
}

/** Exit code 1 when something must be put right before the first mail. */
function addPreflight(program: Command, { within, print, refuse }: CommandTools): void {
  program
    .command('preflight')
    .description('check the mails of an applied funnel, one template, or a broadcast, before they are sent')
    .argument(
      '<what>',
      'key of a funnel, a template such as emails/welcome, or a broadcast such as broadcast:7',
    )
    .option('--json')
    .action(async (what: string, { json = false }: { json?: boolean }) =>
      within(async ({ preflight, funnelPreflight, broadcasts }) => {
        const broadcast = /^broadcast:(\d{1,18})$/.exec(what)?.[1];
        const check = async (): Promise<FunnelPreflight | PreflightReport> => {
          if (broadcast !== undefined) return broadcasts.check(broadcast);
          return what.includes('/')
            ? preflight.checkTemplate({ template: what })
            : funnelPreflight.check(what);
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

function addDkim(program: Command, { within, print }: CommandTools): void {
  const dkim = program.command('dkim').description('keys that sign outgoing mail');
  dkim
    .command('forget')
    .description('let mail of a domain leave unsigned from now on, as no worker has its key any more')
    .argument('<domain>')
    .option('--json')
    .action(async (domain: string, { json = false }: { json?: boolean }) =>
      within(async ({ signedDomains }) => {
        const forgotten = await signedDomains.forget(domain);
        print(json, { domain, forgotten }, () =>
          forgotten ? `Mail of ${domain} may leave unsigned.` : `Mail of ${domain} need not be signed.`,
        );
      }),
    );
  dkim
    .command('create')
    .description('make a key for a sending domain and show the DNS record to publish')
    .argument('<domain>')
    .option('--selector <name>', 'name of the key, by default from the month')
    .option('--ed25519', 'a second key for a second signature, beside the RSA one')
    .option('--json')
    .action(
      async (
        domain: string,
        { selector, ed25519 = false, json = false }: { selector?: string; ed25519?: boolean; json?: boolean },
      ) =>
        within(async ({ dkimKeys, signedDomains }) => {
          const kind = ed25519 ? 'ed25519' : 'rsa';
          const record = await dkimKeys.create(domain, { selector, kind });
          await signedDomains.announce(domain);
          print(json, record, () => recordInWords(record));
        }),
    );
}

function recordInWords({ name, value, path }: DkimDnsRecord): string {
  const strings = (value.match(new RegExp(`.{1,${MAX_STRING}}`, 'g')) ?? []).map((one) => `"${one}"`);
  return [
    `The key is in ${path}; keep it in the backup.`,
    '',
    `Publish this TXT record, wait until "wellspring doctor" sees it, then start Wellspring anew:`,
    '',
    `  ${name}. IN TXT ( ${strings.join(' ')} )`,
  ].join('\n');
}
