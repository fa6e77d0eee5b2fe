import { field } from './header-block.js';
import type { MailParts } from './mail-parts.js';

const AWAY =
  /^\s*(?:(?:re|aw|fwd?)\s*:\s*)*(?:auto(?:matic|mated|matische)?[- ]?(?:reply|response|antwort|respond\w*)|out of (?:the |my )?office|away (?:from|until)|vacation|on (?:leave|holiday)|abwesen|r[ée]ponse automatique|respuesta autom[áa]tica|risposta automatica|i am (?:away|out))/i;
const CHALLENGE =
  /(?:confirm|verify|prove|authori[sz]e).{0,60}(?:you(?:r| are).{0,20}(?:email|e-mail|message|address|human|sender)|sender)|spam ?arrest|challenge.response/i;
const DAEMON = /mailer[-_.]?daemon|mail delivery|^\s*<>\s*$/i;
/** Who sends reports; also who sends newsletters, and people who are called so: a hint and no more. */
const REPORTER =
  /mailer[-_.]?daemon|post[-_.]?master|mail[-_. ]?(?:delivery|deliver|system|admin)|(?:^|[^a-z])(?:no-?reply|bounces?|mailer|mta|root)(?:[^a-z]|$)|-(?:admin|owner|request|bounces)@/i;
const REPORT_SUBJECT =
  /undeliver|undelivered|returned? (?:mail|to sender)|(?:mail|message|delivery|sending) ?(?:system )?(?:status|fail|error|problem|delay|notification)|fail(?:ure|ed) (?:notice|delivery)|could(?: not|n't) (?:be )?(?:deliver|send|sent)|delivery (?:report|has)|unzustellbar|non remis|rejected|warning|error sending|not delivered|cannot send|unable to deliver/i;
/** What a person answers begins so, whatever our own subject was. */
const ANSWER = /^\s*(?:re|aw|antw|sv|rv|odp)\s*:/i;

/** Whether its From or its subject is that of a delivery report. */
export function looksLikeReport({ headers, subject }: Pick<MailParts, 'headers' | 'subject'>): boolean {
  const from = (headers.get('from') ?? []).join(' ');
  return (
    REPORTER.test(from) || /<>\s*$/.test(from) || (REPORT_SUBJECT.test(subject) && !ANSWER.test(subject))
  );
}

/**
 * An out-of-office note, a vacation program, a challenge (RFC 3834, and what came before it). Mail systems mark their
 * delivery reports as `auto-replied` too, so those are told apart by who sends them. Bulk, junk and Exchange's
 * wish for no answer mark both alike: they count only where nothing else looks like a report.
 */
export function isAutoReply(parts: MailParts): boolean {
  const { headers, subject } = parts;
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
  if (report) return false;
  const hinted =
    /^\s*(?:bulk|junk)\b/i.test(field(headers, 'precedence')) || headers.has('x-auto-response-suppress');
  return (marked && !DAEMON.test(from)) || (hinted && !looksLikeReport(parts));
}
