import { isMail, type SequenceDefinition } from '../../sequences/definition.js';
import type { FunnelDefinition } from '../funnel.schemas.js';
import type { SequenceOutline } from './loop-rules.js';
import { among, type DefinitionProblem } from './rules.js';

/** Opens and clicks that are to begin the sequence and belong to no mail, or come when nobody may join any more. */
export function entryProblems(
  { funnel, sequence }: FunnelDefinition,
  { reentry }: SequenceDefinition,
  others: readonly SequenceOutline[],
): DefinitionProblem[] {
  return (sequence.enterOn ?? []).flatMap((trigger, index): DefinitionProblem[] => {
    const kind = 'clicked' in trigger ? 'clicked' : 'opened' in trigger ? 'opened' : null;
    if (kind === null) return [];
    const path = ['sequence', 'enterOn', index, kind];
    const from = trigger.sequence ?? funnel;
    if (from === funnel) {
      if (reentry !== undefined) return [];
      const message =
        'who gets this mail is in the sequence already, and nobody may join it again; name another sequence, or set reentry';
      return [{ rule: 'entry-never-reached', path, message }];
    }
    const step: unknown = Reflect.get(trigger, kind);
    const mails = others
      .find(({ key }) => key === from)
      ?.definition.nodes.filter(isMail)
      .map(({ key }) => key);
    if (mails === undefined || mails.includes(String(step))) return [];
    const message = `"${String(step)}" is not an email step of the sequence "${from}"${among(mails)}`;
    return [{ rule: 'unknown-step', path, message }];
  });
}
