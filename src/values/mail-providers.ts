/** Mail providers that put a return path of their own in place of ours and report by webhook. */
export const PROVIDERS = ['ses', 'sendgrid', 'postmark', 'mailgun'] as const;
export type MailProvider = (typeof PROVIDERS)[number];

const HOSTS: readonly (readonly [RegExp, MailProvider])[] = [
  [/(?:^|\.)sendgrid\.net$/, 'sendgrid'],
  [/(?:^|\.)postmarkapp\.com$/, 'postmark'],
  [/(?:^|\.)mailgun\.org$/, 'mailgun'],
  [/^email-smtp(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$/, 'ses'],
];

/** By the relay's host name; null for a relay of one's own. */
export function providerOf(hostname: string): MailProvider | null {
  return HOSTS.find(([host]) => host.test(hostname.toLowerCase()))?.[1] ?? null;
}

/** Headers, in lower case, that a provider puts its own in place of: a signature over ours would be broken there. */
export function headersReplacedBy(providers: readonly (MailProvider | null)[]): ReadonlySet<string> {
  return new Set(providers.includes('ses') ? ['date', 'message-id'] : []);
}
