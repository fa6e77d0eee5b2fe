import type { FetchOutcome, SafeFetch } from '../../infra/safe-fetch.js';
import type { PreflightFinding } from './mail-checks.js';
import { urlOf } from '../../values/url.js';

const MAX_LINKS = 50;
const AT_ONCE = 16;
/** Pages of ours that a token opens: the one in a draft opens nothing. */
const OWN_PERSONAL = /^\/(?:u|preferences|c|o|confirm|download|orders?|offer|checkout)(?:\/|$)/;
const GONE = new Set([404, 410]);

/** Asks each address whether it answers. At most 50, 16 at a time, five seconds each. */
export async function probeLinks(
  urls: readonly string[],
  fetch: Pick<SafeFetch, 'probe'>,
  ownOrigin: string,
): Promise<PreflightFinding[]> {
  const asked = urls.filter(
    (url) => !(originOf(url) === ownOrigin && OWN_PERSONAL.test(new URL(url).pathname)),
  );
  const findings: PreflightFinding[] = [];
  for (let at = 0; at < Math.min(asked.length, MAX_LINKS); at += AT_ONCE) {
    const some = asked.slice(at, Math.min(at + AT_ONCE, MAX_LINKS));
    const outcomes = await Promise.all(some.map(async (url) => fetch.probe(url)));
    for (const [index, url] of some.entries()) {
      const outcome = outcomes[index];
      const found = outcome && findingOf(url, outcome, ownOrigin);
      if (found) findings.push({ check: 'links', ...found });
    }
  }
  if (asked.length > MAX_LINKS)
    findings.push({
      check: 'links',
      level: 'unknown',
      message: `${asked.length - MAX_LINKS} more links were not asked`,
    });
  return findings;
}

function findingOf(
  url: string,
  outcome: FetchOutcome,
  ownOrigin: string,
): Pick<PreflightFinding, 'level' | 'message'> | null {
  if (outcome.kind === 'refused') return { level: 'fail', message: `${url}: ${outcome.reason}` };
  if (outcome.kind === 'failed') {
    // Our own name may be one that only the outside knows.
    const own = originOf(url) === ownOrigin;
    if (outcome.reason === 'ENOTFOUND' && !own)
      return { level: 'fail', message: `${url}: the name does not exist` };
    const hint = own ? '; is Wellspring running there?' : '';
    return { level: 'unknown', message: `${url} could not be reached (${outcome.reason})${hint}` };
  }
  if (outcome.status < 400) return null;
  if (GONE.has(outcome.status)) return { level: 'fail', message: `${url} answers ${outcome.status}` };
  return { level: 'warn', message: `${url} answers ${outcome.status} to us; look at it yourself` };
}

export function originOf(url: string): string | null {
  return urlOf(url)?.origin ?? null;
}
