import { isMail, type SequenceDefinition } from '../../sequences/steps/definition.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { SequenceOutline } from './loop-rules.js';
import { among, type DefinitionProblem } from './rules.js';

/** What does not name the one time at which it happened. */
const UNNAMED = ['tag', 'untagged', 'list', 'unlisted', 'field', 'member', 'affiliate'] as const;

/**
 * Opens and clicks that are to begin the sequence and belong to no mail, or come when nobody may join any more; and what
 * begins a sequence that may be joined once per event, and is no event.
 */
export function entryProblems(
  { funnel, sequence }: FunnelDefinition,
  { reentry }: SequenceDefinition,
  others: readonly SequenceOutline[],
): DefinitionProblem[] {
  return (sequence.enterOn ?? []).flatMap((trigger, index): DefinitionProblem[] => {
    const unnamed = reentry?.mode === 'event' ? UNNAMED.find((name) => name in trigger) : undefined;
    if (unnamed !== undefined) {
      const message =
        'this begins the sequence once for each person: only orders, refunds, opens, clicks and events with a key name what they join per event; let them join again always or after some days';
      return [{ rule: 'entry-never-reached', path: ['sequence', 'enterOn', index, unnamed], message }];
    }
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
