import type { PreflightFinding } from '../delivery/preflight/mail-checks.js';

/** People whom a broadcast is for, as far as the owner chose them, by what keeps it from them. */
export interface KeptFrom {
  pending: number;
  unsubscribed: number;
  bounced: number;
  complained: number;
  /** Active, and want a pause. */
  paused: number;
  /** Active, and on the suppression list. */
  suppressed: number;
}

/** `readers`: those who would get it, were they not suppressed. */
export function keptFrom(
  chosen: readonly { status: string; count: number }[],
  { readers, suppressed }: { readers: number; suppressed: number },
): KeptFrom {
  const of = (status: string): number => chosen.find((one) => one.status === status)?.count ?? 0;
  return {
    ...{ pending: of('pending'), unsubscribed: of('unsubscribed'), bounced: of('bounced') },
    ...{ complained: of('complained'), paused: of('active') - readers, suppressed },
  };
}

const people = (count: number): string =>
  `${count.toLocaleString('en')} ${count === 1 ? 'person' : 'people'}`;

/** That nobody would get it, and why. It may be for those who are there when it begins: no fault that would stop it. */
export function nobodyFinding(kept: KeptFrom): PreflightFinding {
  const reasons = [
    [kept.pending, 'pending, as an import without consent leaves them until they confirm'],
    [kept.suppressed, 'on the suppression list'],
    [kept.unsubscribed, 'not on the list any more'],
    [kept.bounced, 'given up, as mails to them came back'],
    [kept.complained, 'off the list for a complaint'],
    [kept.paused, 'in a pause that they asked for'],
  ] as const;
  const known = reasons.filter(([count]) => count > 0);
  const why =
    known.length === 0
      ? 'nobody meets what it is for'
      : `of those it is for, ${known.map(([count, what]) => `${people(count)} ${count === 1 ? 'is' : 'are'} ${what}`).join(', ')}`;
  return { check: 'audience', level: 'warn', message: `nobody would get it now: ${why}` };
}
