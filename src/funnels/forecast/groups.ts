import type { Standing } from './paths.js';

/** People who stand at one place. */
export interface Stand extends Standing {
  count: number;
}

/**
 * At most about `most` groups, at least one for each step of each version and what was done before it and is owned, up to twice as
 * many: the smallest join the one of their like whose time is nearest. What that costs is hours, and the clock of a few.
 */
export function mergedStands(stands: readonly Stand[], most: number): Stand[] {
  const bySize = stands.toSorted((a, b) => b.count - a.count);
  const kept: Stand[] = [];
  for (const stand of bySize) {
    const ofStep = kept.filter(
      ({ version, stepKey }) => version === stand.version && stepKey === stand.stepKey,
    );
    const alike = ofStep.filter(
      ({ had, done, owns }) => had === stand.had && done === stand.done && owns === stand.owns,
    );
    const near = (alike.length === 0 && kept.length >= 2 * most ? ofStep : alike).toSorted(
      (a, b) => distance(a, stand) - distance(b, stand),
    )[0];
    if (near === undefined || kept.length < most) kept.push({ ...stand });
    else near.count += stand.count;
  }
  return kept;
}

function distance(one: Stand, other: Stand): number {
  return Math.abs(one.nextAt.getTime() - other.nextAt.getTime());
}
