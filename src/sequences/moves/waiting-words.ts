import { isMail, type EmailNode } from '../steps/definition.js';
import type { PreparedSequence } from '../steps/prepared.js';

/** Of the mails of a step that wait, those with the words `was`: the words that they go with, null for not at all. */
export interface WaitingWords {
  step: string;
  was: string;
  is: string | null;
}

type Words = Pick<EmailNode, 'templateKey' | 'templateId' | 'offer'>;

/**
 * What becomes of mails that wait when their people are taken from one version to another: they have the words of their step
 * there, of a split test those of their own arm. Where it is there no more they do not go, unless another step has their mail.
 * A mail that offers something else needs what was not written with it, so it goes as it is.
 */
export function waitingWords(from: PreparedSequence, to: PreparedSequence): WaitingWords[] {
  return from.definition.nodes.filter(isMail).flatMap((node) =>
    wordsOf(node).flatMap(({ arm, words }): WaitingWords[] => {
      const other = wordsIn(to, { step: node.key, arm, words });
      if (other === null) return [{ step: node.key, was: words.templateId, is: null }];
      const isSame = other.templateId === words.templateId || other.offer?.slug !== words.offer?.slug;
      return isSame ? [] : [{ step: node.key, was: words.templateId, is: other.templateId }];
    }),
  );
}

function wordsOf(node: EmailNode): { arm: string | null; words: Words }[] {
  return node.split?.arms.map((arm) => ({ arm: arm.key, words: arm })) ?? [{ arm: null, words: node }];
}

function wordsIn(
  { nodes, definition }: PreparedSequence,
  { step, arm, words }: { step: string; arm: string | null; words: Words },
): Words | null {
  const node = nodes.get(step);
  if (node !== undefined && isMail(node)) return node.split?.arms.find(({ key }) => key === arm) ?? node;
  const others = definition.nodes.filter(isMail).flatMap(wordsOf);
  return others.find((other) => other.words.templateKey === words.templateKey)?.words ?? null;
}
