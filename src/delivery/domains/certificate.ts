import { finding, type Finding } from './finding.js';
import { DAY_MS } from '../../values/time-units.js';

/** What a TLS handshake with the host of `BASE_URL` showed; `error` is set when a browser would refuse it. */
export type CertificateSeen =
  { kind: 'seen'; error: string | null; validUntil: Date } | { kind: 'unreached'; reason: string };

const SOON_DAYS = 14;
const NAME = 'https';

/** D7: the links in mails open without a warning. */
export function checkCertificate(baseUrl: string, seen: CertificateSeen | null, now: Date): Finding {
  if (seen === null)
    return finding('D7', NAME, '', [
      { level: 'fail', text: `links in mails start with ${baseUrl}; use https in BASE_URL` },
    ]);
  if (seen.kind === 'unreached')
    return { id: 'D7', name: NAME, level: 'unknown', detail: `could not reach ${baseUrl} (${seen.reason})` };
  const days = Math.floor((seen.validUntil.getTime() - now.getTime()) / DAY_MS);
  if (seen.error !== null)
    return finding('D7', NAME, '', [{ level: 'fail', text: `the certificate is not valid: ${seen.error}` }]);
  if (days < SOON_DAYS)
    return finding('D7', NAME, '', [
      {
        level: days < 0 ? 'fail' : 'warn',
        text: days < 0 ? 'the certificate has run out' : `the certificate ends in ${days} days`,
      },
    ]);
  return finding('D7', NAME, `the certificate is valid for ${days} days`, []);
}
