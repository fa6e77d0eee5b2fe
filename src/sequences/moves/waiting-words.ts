import { isMail, type EmailNode } from '../steps/definition.js';
import type { PreparedSequence } from '../steps/prepared.js';

/** A mail that is written and waits. */
export interface WaitingMail {
  step: string;
  /** Of its reader, where the step tests its mails; null without a test. */
  arm: string | null;
  templateId: string;
  templateKey: string;
  /** The slug of what it offers. */
  offer: string | null;
}

type Words = Pick<EmailNode, 'templateKey' | 'templateId' | 'offer'>;

/**
 * The template with which a mail that waits goes when its reader is taken to another version, null for not at all: that of its step
 * there, of a split test that of their own arm. Where the step is there no more it does not go, unless another has its mail that
 * does not come to them still: `ahead` are the mails that do. A mail that offers something else needs what was not written with it, so it
 * goes as it is. By the mail alone, and not by the version that it was written in: it may have other words since.
 */
export function waitingWords(
  to: PreparedSequence,
  mail: WaitingMail,
  ahead: () => readonly string[],
): string | null {
  const words = wordsOfStep(to, mail) ?? wordsElsewhere(to, mail, ahead);
  if (words === null) return null;
  return (words.offer?.slug ?? null) === mail.offer ? words.templateId : mail.templateId;
}

function wordsOfStep({ nodes }: PreparedSequence, { step, arm }: WaitingMail): Words | null {
  const node = nodes.get(step);
  if (node === undefined || !isMail(node)) return null;
  return node.split?.arms.find(({ key }) => key === arm) ?? node;
}

/** Under another name. */
function wordsElsewhere(
  { definition }: PreparedSequence,
  { templateKey }: WaitingMail,
  ahead: () => readonly string[],
): Words | null {
  const others = definition.nodes
    .filter(isMail)
    .flatMap((node) => [node, ...(node.split?.arms ?? [])].map((words) => ({ step: node.key, words })))
    .filter(({ words }) => words.templateKey === templateKey);
  if (others.length === 0) return null;
  const coming = ahead();
  return others.find(({ step }) => !coming.includes(step))?.words ?? null;
}
