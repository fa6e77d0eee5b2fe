/** Mailbox providers that judge a sender as one, however many domains they run. */
const GROUPS: readonly (readonly [group: string, domains: RegExp])[] = [
  ['gmail', /^(?:gmail|googlemail)\.com$/],
  ['outlook', /^(?:(?:outlook|hotmail|live)\.(?:com|com?\.[a-z]{2}|[a-z]{2})|msn\.com)$/],
  ['yahoo', /^(?:yahoo\.(?:com|com?\.[a-z]{2}|[a-z]{2})|(?:ymail|rocketmail|aol|aim)\.com|aol\.[a-z]{2})$/],
];

/**
 * Who receives mail for `domain` (lower case, A-labels), as far as its name tells: `gmail`, `outlook`, `yahoo` or
 * `other`. A company's own domain at one of them is known by its MX only, which table `mail_domain` keeps.
 */
export function recipientGroup(domain: string): string {
  return GROUPS.find(([, domains]) => domains.test(domain))?.[0] ?? 'other';
}
