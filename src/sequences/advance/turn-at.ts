/**
 * SQL for when the turn of enrollment `e` was due, which a worker may run later: of who waits at a branch, when they were
 * woken or their time was over; else when they came to their step, where that was before `next_at`.
 */
export function turnAt(e: string): string {
  return `case when ${e}.wait_until is null then coalesce(${e}.came_at, ${e}.next_at) else ${e}.next_at end`;
}

/** SQL for when enrollment `e` came to the step where it is. */
export function cameAt(e: string): string {
  return `coalesce(${e}.came_at, ${e}.next_at)`;
}
