/**
 * Whether `affiliateId` would stand above themselves if `recruiterId` had recruited them. `recruiterOf` knows who recruited
 * whom now, a tree; a loop in it, which there never is, counts as one more.
 */
export function wouldLoop(
  recruiterOf: ReadonlyMap<string, string>,
  affiliateId: string,
  recruiterId: string,
): boolean {
  const seen = new Set([affiliateId]);
  for (let at: string | undefined = recruiterId; at !== undefined; at = recruiterOf.get(at)) {
    if (seen.has(at)) return true;
    seen.add(at);
  }
  return false;
}
