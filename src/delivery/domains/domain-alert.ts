import type { Finding } from './finding.js';

/**
 * What the owner is told of one domain's findings: of those that failed, or `good`, or `unknown` when nothing failed and
 * something of what had failed at the last look (`failedBefore`, by id) could not be asked this time.
 */
export function domainAlert(
  domain: string | null,
  findings: readonly Finding[],
  failedBefore: readonly string[],
): { message: string; facts: Record<string, unknown> } | 'good' | 'unknown' {
  const failed = findings.filter(({ level }) => level === 'fail');
  if (failed.length === 0) {
    const isOpen = findings.some(({ id, level }) => level === 'unknown' && failedBefore.includes(id));
    return isOpen ? 'unknown' : 'good';
  }
  const what = failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ');
  const where = domain === null ? 'This installation' : `The sending domain ${domain}`;
  return {
    message: `${where} does not pass its daily check, so mail may be refused or taken for spam. ${what}`,
    facts: { domain, failed: failed.map(({ id }) => id) },
  };
}
