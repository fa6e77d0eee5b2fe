import type { MailProvider } from '../../values/mail-providers.js';

/** The name our tag has at every provider. */
export const TAG = 'wellspring';

/**
 * The header, with its line end, that makes the provider name the mail in its reports. `token`: the part of a return
 * path after `b+`, which every provider's rules for tags allow. They take the header out again, so it is not signed.
 */
export function tagHeader(provider: MailProvider, token: string): string {
  switch (provider) {
    case 'ses':
      return `X-SES-MESSAGE-TAGS: ${TAG}=${token}\r\n`;
    case 'sendgrid':
      return `X-SMTPAPI: {"unique_args": {"${TAG}": "${token}"}}\r\n`;
    case 'postmark':
      return `X-PM-Metadata-${TAG}: ${token}\r\n`;
    case 'mailgun':
      return `X-Mailgun-Variables: {"${TAG}": "${token}"}\r\n`;
    default:
      return provider satisfies never;
  }
}
