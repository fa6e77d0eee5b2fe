import type { Command } from 'commander';
import type { TestMail } from '../delivery/preflight/test-mails.service.js';
import type { StepPreviewWanted } from '../sequences/previews/mail-previews.service.js';
import { DomainError } from '../values/domain-error.js';
import { type EmailAddressParse, parseEmailAddress } from '../values/email-address.js';
import { readNamed, SUCH_AS, type Named } from './broadcast-name.js';
import type { CommandTools } from './command-tools.js';

type Choice = Pick<StepPreviewWanted, 'funnel' | 'step' | 'arm'> & { as?: string };

/** It is planned here, and the process that sends takes it from there. */
export function addTestMailCommand(program: Command, { within, print }: CommandTools): void {
  program
    .command('test-mail')
    .description('send a mail to yourself, as one subscriber would get it')
    .argument('<mail>', `a template such as emails/welcome, or a broadcast ${SUCH_AS}`, readNamed)
    .requiredOption('--to <address>', 'an address of your own')
    .option(
      '--as <subscriber>',
      'address or id of the subscriber; by default one who is made up, of a broadcast its first reader',
    )
    .option('--funnel <key>', 'whose mail it is; by default the first that sends it')
    .option('--step <key>', 'that sends it; by default the first')
    .option('--arm <key>', 'of the split test it is in; by default the first')
    .option('--json')
    .action(async (mail: Named, { to, json = false, ...choice }: Choice & { to: string; json?: boolean }) =>
      within(async ({ broadcastPreviews, mailPreviews, subscribers, testMails }) => {
        const address = addressOf(to);
        const send = async (): Promise<TestMail> => {
          if ('broadcast' in mail)
            return broadcastPreviews.test(mail.broadcast, { to: address, arm: choice.arm });
          const { as, ...which } = choice;
          const subscriberId = as === undefined ? undefined : (await subscribers.named(as)).id;
          const { sender, ...shown } = await mailPreviews.preview({
            template: mail.name,
            ...which,
            subscriberId,
          });
          return testMails.send(shown, {
            to: address,
            sender,
            funnelKey: which.funnel,
            readerId: subscriberId,
          });
        };
        const sent = await send();
        print(json, sent, () => `“${sent.subject}” goes to ${sent.to}: mail ${sent.messageId}.`);
      }),
    );
}

function addressOf(text: string): Extract<EmailAddressParse, { ok: true }> {
  const parsed = parseEmailAddress(text);
  if (parsed.ok) return parsed;
  throw new DomainError('EMAIL_INVALID', `--to: ${parsed.reason}`, { field: 'to' });
}
