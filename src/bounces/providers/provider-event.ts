import { classifyReply, replyClass } from '../../delivery/replies/reply-class.js';
import type { ReplyReason } from '../../delivery/replies/reply-reason.js';
import { verpOfTag } from '../../delivery/mails/verp.js';
import { replyCodeIn, statusIn } from '../bounce-report.js';
import {
  finding,
  found,
  judged,
  type BounceReason,
  type BounceVerdict,
  type Finding,
  type JudgedMail,
} from '../judged-mail.js';

/** What a provider's event says of one mail. */
export interface ProviderEvent {
  recipient: string;
  /** What the other server said. */
  diagnostic?: string | null | undefined;
  status?: string | null | undefined;
  /** Our Message-ID, where the provider kept it. */
  messageId?: string | null | undefined;
  /** The envelope sender, where it is a return path of ours. */
  returnPath?: string | null | undefined;
  /** Our tag, which every mail to a provider carries. */
  tag?: string | null | undefined;
  reporter: string;
}

type Quoted = Omit<Finding, 'verdict' | 'reason'>;

/** Nothing has failed, and nobody has complained: whoever leaves by the provider's link leaves as by ours. */
export const UNSUBSCRIBED = { verdict: 'ignore', reason: 'unsubscribed' } as const;

/** By the same table as everything else; `known`: the provider's own word, and the only one where no rule knows the reply. */
export function bounceEvent(
  event: ProviderEvent,
  known: ReplyReason | null,
  isDead = known === 'user_unknown',
): JudgedMail {
  return wrap(event, bounceFinding(quote(event), known, isDead));
}

/**
 * `isDead`: the provider says that the address was refused for good, and stops writing there itself. "No such user" in
 * its report is then what a server answered to RCPT, and needs no address beside it to be believed. Any other reason in
 * the words is heard first: providers call a full mailbox or a block list a bounce as well.
 */
export function bounceFinding(quoted: Quoted, known: ReplyReason | null, isDead: boolean): Finding {
  const { status, replyCode, diagnostic: text } = quoted;
  const said = isDead
    ? found(quoted, classifyReply({ status, replyCode, text, stage: 'rcpt' }))
    : finding(quoted, []);
  return said.reason === 'unclear' && known !== null ? found(quoted, replyClass(known)) : said;
}

/**
 * What the provider did not even hand on: `known` is its own reason, and the words beside it are its own, too. Read as
 * another server's they would say something else: the sender's quota is nobody's full mailbox.
 */
export function droppedEvent(event: ProviderEvent, known: ReplyReason | null): JudgedMail {
  return known === null ? bounceEvent(event, null) : plainEvent(event, replyClass(known));
}

export function plainEvent(
  event: ProviderEvent,
  said: { verdict: BounceVerdict; reason: BounceReason },
): JudgedMail {
  return wrap(event, found(quote(event), said));
}

function quote({ recipient, diagnostic: words, status }: ProviderEvent): Quoted {
  const diagnostic = words ?? '';
  return {
    recipient,
    status: statusIn(status ?? '') ?? statusIn(diagnostic),
    replyCode: replyCodeIn(diagnostic),
    diagnostic,
  };
}

function wrap({ messageId, returnPath, tag, reporter }: ProviderEvent, one: Finding): JudgedMail {
  const headers = new Map<string, string[]>();
  const paths = [returnPath, typeof tag === 'string' ? verpOfTag(tag) : null].filter(
    (path) => typeof path === 'string',
  );
  if (typeof messageId === 'string')
    headers.set('message-id', [messageId.startsWith('<') ? messageId : `<${messageId}>`]);
  headers.set('return-path', [paths.join(' ')]);
  return judged([one], reporter, [headers]);
}
