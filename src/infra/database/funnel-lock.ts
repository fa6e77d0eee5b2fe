import { DomainError } from '../../values/domain-error.js';
import { isLockedOut } from './deadlock.js';
import { LOCKS } from './advisory-locks.js';
import type { Queries } from './settings.js';

/**
 * One after the other: changes of funnels, and of what a funnel was judged by and does not write itself. So what was looked at
 * is what is there when the change is written. Held until the transaction ends; the first lock it takes.
 */
export async function holdFunnels(manager: Queries): Promise<void> {
  await manager.query('select pg_advisory_xact_lock($1)', [LOCKS.funnels]);
}

/**
 * As `holdFunnels`, for who can ask again: whoever waits keeps a connection from all others, and a change that moves many
 * people takes minutes. Throws `FUNNEL_CHANGE_IN_PROGRESS` after `mostMs`, and the transaction is lost.
 */
export async function holdFunnelsSoon(manager: Queries, mostMs: number): Promise<void> {
  await manager.query(`select set_config('lock_timeout', $1, true)`, [`${mostMs}ms`]);
  try {
    await holdFunnels(manager);
  } catch (error) {
    if (!isLockedOut(error)) throw error;
    const message = 'another change of funnels is being looked at or applied; plan again when it is done';
    throw new DomainError('FUNNEL_CHANGE_IN_PROGRESS', message, {}, { cause: error });
  }
  await manager.query('set local lock_timeout to default');
}
