import type { Leaf } from './condition.js';

/** That people were in a set as of a time already; nothing without one. */
export function wasSoBy(
  leaf: Leaf,
  { asOf, parameter }: { asOf?: Date; parameter: (value: unknown, type: 'timestamptz') => string },
): string[] {
  if (asOf === undefined) return [];
  return beganAt(leaf).map((column) => `${column} <= ${parameter(asOf.toISOString(), 'timestamptz')}`);
}

/**
 * When people came to be what a set of people says of them: only who had by then is in the set as of a time. Columns of the
 * tables that `peopleOf` names; nothing where that is not kept.
 */
function beganAt(leaf: Leaf): string[] {
  if ('tag' in leaf) return ['st.created_at'];
  if ('list' in leaf) return ['lm.created_at'];
  if ('purchased' in leaf) return ['o.paid_at'];
  // Told later, it was not known then.
  if ('event' in leaf) return ['v.created_at'];
  if ('member' in leaf) return ['mb.created_at'];
  if ('affiliate' in leaf) return [leaf.affiliate === 'self' ? 'a.created_at' : 'r.touched_at'];
  if ('split' in leaf) return [leaf.split.broadcast === undefined ? 'xa.assigned_at' : 'm.created_at'];
  if ('sequence' in leaf) {
    const { is } = leaf.sequence;
    return ['n.started_at', ...(is === 'completed' || is === 'exited' ? ['n.ended_at'] : [])];
  }
  if ('funnel' in leaf) return ['n.started_at'];
  if ('form' in leaf) return ['u.created_at'];
  if ('received' in leaf) return ['m.accepted_at'];
  return 'opened' in leaf || 'clicked' in leaf ? ['e.at'] : [];
}
