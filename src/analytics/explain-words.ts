import { instantText, quoted, rule, type Rule } from './explanation.js';

/** The words of a mail whose broadcast has been given others in a pause. */
export interface WordsFacts {
  /** The version that it went with, or would go with now. */
  templateId: string;
  template: string;
  /** As it was written. */
  subject: string;
  /** Whether that is the last one. */
  isCurrent: boolean;
  changedAt: Date;
}

/** Which words a mail had: no other rule tells two readers of one broadcast apart by them. */
export function wordsRule(
  { templateId, template, subject, isCurrent, changedAt }: WordsFacts,
  { state, unknownCount }: { state: string; unknownCount: number },
): Rule {
  const words = `subject ${quoted(subject)}, version ${templateId} of ${template}`;
  const changed = `The words of its broadcast were changed in a pause, at ${instantText(changedAt)}`;
  if (isCurrent)
    return rule('WORDS_CHANGED', 'info', `${changed}; this mail has the new ones: ${words}.`, changedAt);
  const why =
    unknownCount > 0 && state !== 'unknown' && state !== 'accepted'
      ? ', as it may be with its relay already, and sent once more it is the same mail'
      : '';
  return rule(
    'WORDS_OF_BEFORE',
    'info',
    `${changed}; this mail has those of before${why}: ${words}.`,
    changedAt,
  );
}
