import { classifyInContext, replyClass, type ReplyClass } from '../delivery/replies/reply-class.js';
import type { ReplyReason, ReplyVerdict } from '../delivery/replies/reply-reason.js';
import type { FeedbackType } from './feedback-report.js';
import type { HeaderBlock } from './header-block.js';
import { stageIn } from './quoted-stage.js';

export type BounceVerdict = ReplyVerdict | 'complaint';
/** `unsubscribed`: by the provider's own link, which is leaving as by ours and no complaint. */
export type BounceReason = ReplyReason | FeedbackType | 'unsubscribed';

/** What a report says about one recipient. */
export interface Finding {
  recipient: string | null;
  verdict: BounceVerdict;
  reason: BounceReason;
  status: string | null;
  replyCode: number | null;
  /** What the other server said, as far as the report quotes it. */
  diagnostic: string;
  /**
   * Nothing but an empty return path makes the mail a report, and no mail came back: an answer that says whom to write to
   * instead looks the same. It is about our mail only where that went to `recipient`.
   */
  isGuess?: boolean;
}

export interface JudgedMail {
  /** The gravest of the findings; `ignore` when there is none. */
  verdict: BounceVerdict;
  reason: BounceReason;
  findings: Finding[];
  reportingMta: string | null;
  /** Headers of the mails that came back, which may carry a token of ours. */
  originals: HeaderBlock[];
  /** Where the mail itself went, as its headers say: the return path it answers to may be among them. */
  addressedTo: string[];
  /** What the provider answered when it took the mail, and when, where its report says so. */
  takenAs?: { reply: string; at: Date | null };
}

const GRAVITY: readonly BounceVerdict[] = ['complaint', 'hard', 'sender', 'soft', 'ignore'];
const MAX_DIAGNOSTIC_CHARS = 500;

export function judged(
  findings: Finding[],
  reportingMta: string | null,
  originals: HeaderBlock[],
): JudgedMail {
  const gravest = [...findings].sort((a, b) => GRAVITY.indexOf(a.verdict) - GRAVITY.indexOf(b.verdict))[0];
  const { verdict, reason } = gravest ?? replyClass('not_a_report');
  return { verdict, reason, findings, reportingMta, originals, addressedTo: [] };
}

/** A refusal as a report quotes it; `contexts` are what else it says, the nearest first. */
export function finding(
  quoted: Omit<Finding, 'verdict' | 'reason'>,
  contexts: readonly string[],
  reportingMta = '',
): Finding {
  const said = [quoted.diagnostic, ...contexts, reportingMta];
  const stage = said.map(stageIn).find((one) => one !== null);
  const { status, replyCode, diagnostic } = quoted;
  return found(quoted, classifyInContext({ status, replyCode, text: diagnostic, stage }, contexts));
}

export function found(
  quoted: Omit<Finding, 'verdict' | 'reason'>,
  { verdict, reason }: ReplyClass | { verdict: BounceVerdict; reason: BounceReason },
): Finding {
  const diagnostic = quoted.diagnostic.replace(/\s+/g, ' ').trim().slice(0, MAX_DIAGNOSTIC_CHARS);
  return { ...quoted, diagnostic, verdict, reason };
}
