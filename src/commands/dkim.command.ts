import type { Command } from 'commander';
import type { DkimDnsRecord } from '../delivery/signing/dkim-keys.service.js';
import type { CommandTools } from './command-tools.js';

/** RFC 1035 §3.3.14: one string of a TXT record holds 255 octets. */
const MAX_STRING = 255;

/** Keys that sign outgoing mail. */
export function addDkimCommands(program: Command, { within, print }: CommandTools): void {
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
