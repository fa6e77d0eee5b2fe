import { granted, isRunning, over, parseTerm, refunded } from '../../orders/memberships/membership.js';
import { earliest } from './agenda.js';
import { happened, lookAgain } from './virtual-reactions.js';
import type { VirtualRecord } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';

/** As `MembershipsService.paid` for one product. */
export function grantMembership(
  run: VirtualRun,
  { product, term, orderId }: { product: string; term: string; orderId: string },
  now: Date,
): void {
  const own = run.record.memberships.get(product);
  const wasRunning = own !== undefined && isRunning(own.now, now);
  const change = { kind: 'granted' as const, at: now, term: parseTerm(term), orderId };
  const next = granted(own?.now ?? null, change.term, now);
  run.record.memberships.set(product, { now: next, changes: [...(own?.changes ?? []), change] });
  run.tell(now, { what: 'member', product, until: next.endsAt?.toISOString() ?? null });
  if (wasRunning) lookAgain(run, now);
  else happened(run, { kind: 'member', product, state: 'active' }, now);
}

/** As `MembershipsService.refundedOrder`. */
export function takeBackMemberships(
  run: VirtualRun,
  { orderId, products }: { orderId: string; products: readonly string[] },
  now: Date,
): void {
  for (const [product, own] of run.record.memberships) {
    if (!products.includes(product)) continue;
    const changes = own.changes.filter((change) => change.kind !== 'granted' || change.orderId !== orderId);
    if (changes.length === own.changes.length) continue;
    const next = refunded(own.now, changes, now);
    run.record.memberships.set(product, { now: next, changes });
    if (next.state === 'active') {
      run.tell(now, { what: 'member', product, until: next.endsAt?.toISOString() ?? null });
      lookAgain(run, now);
    } else {
      run.tell(now, { what: 'membership over', product, state: 'refunded' });
      happened(run, { kind: 'member', product, state: 'refunded' }, now);
    }
  }
}

/** As the job `memberships.end-due`. */
export function endMemberships(run: VirtualRun, now: Date): void {
  for (const [product, own] of run.record.memberships) {
    if (own.now.state !== 'active' || isRunning(own.now, now)) continue;
    own.now = over(own.now, 'ended', now);
    run.tell(now, { what: 'membership over', product, state: 'ended' });
    happened(run, { kind: 'member', product, state: 'ended' }, now);
  }
}

export function nextMembershipEnd({ memberships }: VirtualRecord): Date | null {
  return earliest([...memberships.values()].map(({ now }) => (now.state === 'active' ? now.endsAt : null)));
}
