import { field } from './header-block.js';
import type { MailParts } from './mail-parts.js';

const AWAY =
  /^\s*(?:(?:re|aw|fwd?)\s*:\s*)*(?:auto(?:matic|mated|matische)?[- ]?(?:reply|response|antwort|respond\w*)|out of (?:the |my )?office|away (?:from|until)|vacation|on (?:leave|holiday)|abwesen|r[ée]ponse automatique|respuesta autom[áa]tica|risposta automatica|i am (?:away|out))/i;
const CHALLENGE =
  /(?:confirm|verify|prove|authori[sz]e).{0,60}(?:you(?:r| are).{0,20}(?:email|e-mail|message|address|human|sender)|sender)|spam ?arrest|challenge.response/i;
const REPORTER = /mailer[-_.]?daemon|mail delivery|^\s*<>\s*$/i;

/**
 * An out-of-office note, a vacation program, a challenge (RFC 3834, and what came before it). Mail systems mark their
 * delivery reports as `auto-replied` too, so those are told apart by who sends them.
 */
export function isAutoReply({ headers, subject }: MailParts): boolean {
  if (headers.has('x-failed-recipients')) return false;
  const from = field(headers, 'from');
  const marked =
    /auto-(?:replied|notified)/i.test(field(headers, 'auto-submitted')) ||
    headers.has('x-autoreply') ||
    headers.has('x-autorespond') ||
    headers.has('x-autoresponder-version') ||
    /auto_?reply/i.test(field(headers, 'precedence'));
  if (AWAY.test(subject) || CHALLENGE.test(subject)) return true;
  const report = /multipart\/report/i.test(field(headers, 'content-type'));
  return marked && !report && !REPORTER.test(from);
}
