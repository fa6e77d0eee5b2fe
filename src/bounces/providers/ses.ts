import { z } from 'zod';
import { replyClass } from '../../delivery/replies/reply-class.js';
import type { ReplyReason } from '../../delivery/replies/reply-reason.js';
import { TAG } from '../../delivery/relays/provider-tag.js';
import { verpOfTag } from '../../delivery/mails/verp.js';
import { statusIn, replyCodeIn } from '../bounce-report.js';
import { FEEDBACK_VERDICTS, feedbackType } from '../feedback-report.js';
import type { HeaderBlock } from '../header-block.js';
import { found, judged, type Finding, type JudgedMail } from '../judged-mail.js';
import { bounceFinding, UNSUBSCRIBED } from './provider-event.js';

const listOf = <T extends z.ZodType>(item: T) =>
  z
    .array(item)
    .nullish()
    .transform((items) => items ?? []);
const recipient = z.object({
  emailAddress: z.string(),
  status: z.string().nullish(),
  diagnosticCode: z.string().nullish(),
});
const event = z.object({
  notificationType: z.string().optional(),
  eventType: z.string().optional(),
  mail: z.object({
    source: z.string().nullish(),
    messageId: z.string().nullish(),
    timestamp: z.string().nullish(),
    tags: z
      .record(z.string(), z.array(z.string()))
      .nullish()
      .transform((tags) => tags ?? {}),
    destination: listOf(z.string()),
    headers: listOf(z.object({ name: z.string(), value: z.string() })),
  }),
  bounce: z
    .object({
      bounceType: z.string(),
      bounceSubType: z
        .string()
        .nullish()
        .transform((kind) => kind ?? ''),
      bouncedRecipients: z.array(recipient),
      reportingMTA: z.string().nullish(),
    })
    .nullish(),
  complaint: z
    .object({
      complainedRecipients: z.array(recipient),
      complaintFeedbackType: z.string().nullish(),
      complaintSubType: z.string().nullish(),
      userAgent: z.string().nullish(),
    })
    .nullish(),
});

/** What Amazon calls the kinds of a bounce whose reply it does not quote, other than `General`. */
const SUB_TYPES: Readonly<Record<string, ReplyReason>> = {
  NoEmail: 'user_unknown',
  Suppressed: 'provider_suppressed',
  OnAccountSuppressionList: 'provider_suppressed',
  OnTenantSuppressionList: 'provider_suppressed',
  EmailValidationSuppressed: 'provider_suppressed',
  MailboxFull: 'mailbox_full',
  MessageTooLarge: 'too_large',
  ContentRejected: 'content',
  AttachmentRejected: 'content',
};

/** Events that end the way of a mail, or lengthen it, without a report about the mailbox. */
const OTHER_EVENTS: Readonly<Record<string, ReplyReason>> = {
  Delivery: 'delivered',
  DeliveryDelay: 'delayed',
  // Amazon found a virus and gave the mail to nobody.
  Reject: 'virus',
  'Rendering Failure': 'content',
};

/** Amazon's name for a mail, the last word of its reply to the body. */
const MAIL_ID = /^[\da-z]{8,40}(?:-[\da-z]{4,40}){5}-000000$/i;

/**
 * Reads a notification or an event of Amazon SES; null for anything else, and for what says nothing about delivery. Events
 * of a configuration set have our tag. Notifications of an identity have neither tags nor, as a rule, headers, and our
 * Message-ID has given way to Amazon's: its own name for the mail is all they say.
 */
export function readSesEvent(json: string): JudgedMail | null {
  const parsed = event.safeParse(parseJson(json));
  const report = parsed.success ? readEvent(parsed.data) : null;
  const { messageId, timestamp } = parsed.data?.mail ?? {};
  if (report === null || !MAIL_ID.test(messageId ?? '')) return report;
  const at = new Date(timestamp ?? Number.NaN);
  return {
    ...report,
    takenAs: { reply: `250 Ok ${messageId}`, at: Number.isNaN(at.getTime()) ? null : at },
  };
}

function readEvent(given: z.output<typeof event>): JudgedMail | null {
  const { bounce, complaint, mail } = given;
  const returned: HeaderBlock = new Map([
    ...mail.headers.map(({ name, value }) => [name.toLowerCase(), [value]] as const),
    ['return-path', [[mail.source ?? '', ...(mail.tags[TAG] ?? []).map(verpOfTag)].join(' ')]] as const,
  ]);
  if (bounce) {
    const findings = bounce.bouncedRecipients.map((one) => bounced(one, bounce));
    return judged(findings, bounce.reportingMTA ?? null, [returned]);
  }
  if (complaint) {
    const type = feedbackType(complaint.complaintFeedbackType ?? 'abuse');
    // Nobody has complained of this mail: Amazon did not send it, because of a complaint of before.
    const said =
      complaint.complaintSubType === 'OnAccountSuppressionList'
        ? replyClass('provider_suppressed')
        : { verdict: FEEDBACK_VERDICTS[type], reason: type };
    const findings = complaint.complainedRecipients.map((one) => found(quoted(one), said));
    return judged(findings, complaint.userAgent ?? null, [returned]);
  }
  const reason = OTHER_EVENTS[given.notificationType ?? given.eventType ?? ''];
  if (reason === undefined) return null;
  return judged(
    mail.destination.map((emailAddress) => found(quoted({ emailAddress }), replyClass(reason))),
    null,
    [returned],
  );
}

/**
 * `Permanent` without a kind and without a word of the other server is Amazon's own verdict, and its advice is to write
 * there no more: it suppresses the address itself. With a reply or a status, those are judged as everywhere, since Amazon
 * calls refusals for a policy permanent as well.
 *
 * `Transient` as silent as that is what Amazon makes of out-of-office notes ("through the same method as bounces"): no
 * server has refused anything. Taken for failures, five of them would give up a reader who is on holiday.
 */
function bounced(
  one: z.output<typeof recipient>,
  { bounceType, bounceSubType }: { bounceType: string; bounceSubType: string },
): Finding {
  const status = statusIn(one.status ?? '') ?? '5.0.0';
  const silent = (one.diagnosticCode ?? '') === '' && status === '5.0.0';
  const unspecified = bounceType === 'Permanent' && ['', 'General'].includes(bounceSubType) && silent;
  if (bounceType === 'Transient' && ['', 'General'].includes(bounceSubType) && silent)
    return found(quoted(one), replyClass('auto_reply'));
  // By Amazon's own link, of its subscription management.
  if (bounceSubType === 'UnsubscribedRecipient') return found(quoted(one), UNSUBSCRIBED);
  const known = unspecified ? 'provider_suppressed' : SUB_TYPES[bounceSubType];
  if (known && ((one.diagnosticCode ?? '') === '' || known === 'provider_suppressed')) {
    return found(quoted(one), replyClass(known));
  }
  return bounceFinding(quoted(one), known ?? null, known === 'user_unknown');
}

function quoted({
  emailAddress,
  status,
  diagnosticCode: code,
}: Partial<z.output<typeof recipient>> & { emailAddress: string }) {
  const diagnosticCode = code ?? '';
  return {
    recipient: emailAddress,
    status: statusIn(status ?? ''),
    replyCode: replyCodeIn(diagnosticCode),
    diagnostic: diagnosticCode.replace(/^smtp;\s*/i, ''),
  };
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
