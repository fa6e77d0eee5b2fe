import { mailHeaders, type HeaderSettings } from '../mails/headers.js';
import { boundaryFor, headerBlock } from '../mails/mail-bytes.transport.js';

/** A mail to nobody with every header that ours can have, to try a signature on. */
export function sampleMail(
  domain: string,
  settings: HeaderSettings & { baseUrl: string },
  date: Date,
): { headers: string; body: Buffer } {
  const sender = { name: 'Self-check', email: `self-check@${domain}`, postalAddress: '' };
  const messageIdHeader = `<self-check@${domain}>`;
  const described = { class: 'marketing', kind: 'sequence', funnelKey: 'self-check', stepKey: null } as const;
  const headers = headerBlock(
    {
      from: { name: sender.name, address: sender.email },
      to: { name: '', address: sender.email },
      subject: 'Self-check',
      date,
      messageId: messageIdHeader,
      more: mailHeaders(
        { ...described, sender, messageIdHeader },
        `${settings.baseUrl}/u/self-check`,
        settings,
      ),
    },
    boundaryFor(messageIdHeader),
  );
  return { headers, body: Buffer.from('Signed to see that it can be signed.\r\n') };
}
