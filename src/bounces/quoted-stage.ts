import type { ReplyStage } from '../delivery/replies/reply-class.js';

const COMMAND = /(?:>>>|sent <<<|\bin:)\s{0,8}(mail|rcpt|data|ehlo|helo|auth|\.)/i;
const REFUSAL = /(?:<<<|received >>>|\bout:)\s{0,8}[45]\d\d/i;
const STAGE_OF: Readonly<Record<string, ReplyStage>> = {
  mail: 'mail',
  rcpt: 'rcpt',
  data: 'data',
  '.': 'body',
  ehlo: 'connect',
  helo: 'connect',
  auth: 'auth',
};

const PHRASES: readonly (readonly [ReplyStage, RegExp])[] = [
  // Amazon's inbound service answers by a rule of its customer, and Yahoo of old by its filter, with the mail in hand.
  [
    'body',
    /delivery error: dd|doesn't have an? \S{1,80} account \(|inbound-smtp\.[a-z0-9-]{1,30}\.amazonaws\.com|end of data|final data|after i sent the message|\btext command|>>> \./i,
  ],
  ['data', /(?:in reply to|after|to|our|smtp:|-------smtp command\s{1,3})\s?data\b|\(data\)/i],
  // The command, and not "your mail from Monday".
  [
    'mail',
    /\bmail from(?:\s{0,3}[:<]| command)|\bmail command|\[mail_from\]|sender was rejected|smtp:mail\b/i,
  ],
  ['rcpt', /rcpt (?:to|command)|smtp:rcpt|\[rcpt_to\]|does not like recipient/i],
  ['connect', /initial connection|\b(?:helo|ehlo)\b|\[connect\]|refused to talk to me|my name was rejected/i],
];

/** How far the conversation was, as a report words it; null when it does not say. */
export function stageIn(text: string): ReplyStage | null {
  return stageInTranscript(text) ?? PHRASES.find(([, says]) => says.test(text))?.[0] ?? null;
}

/** What a pipelining client is told at DATA after each RCPT was refused (RFC 2920 §3.1). */
const NOBODY_LEFT = /(?:<<<)\s{0,8}(?:503\b.{0,20}rcpt|554\b.{0,20}no valid recipients)/i;

/** The command before the first refusal of a quoted conversation. */
function stageInTranscript(text: string): ReplyStage | null {
  let last: ReplyStage | null = null;
  for (const line of text.split('\n')) {
    if (REFUSAL.test(line)) return last === 'data' && NOBODY_LEFT.test(text) ? 'rcpt' : last;
    const command = COMMAND.exec(line)?.[1]?.toLowerCase();
    if (command !== undefined) last = STAGE_OF[command] ?? null;
  }
  return null;
}
