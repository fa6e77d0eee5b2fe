import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { countsAsOpened } from '../../values/counted-hits.js';
import { LateHitsService } from './late-hits.service.js';
import { HITS_LOOKED_AT_AGAIN } from './look-mark.js';

/**
 * Brings forward those who wait at a branch for a person's open or click that has come, by the hits above an id or the ones
 * with some. Who is being moved on at this moment is left to the next look. Served by the primary keys of `tracking_event`,
 * `message` and `enrollment`; `offset 0` keeps PostgreSQL from reading all mails for them.
 */
const noticed = (hits: 'e.id > $2::bigint' | 'e.id = any ($2::bigint[])'): string => `
  update enrollment set next_at = $1 where id in (
    select n.id from tracking_event e
    cross join lateral (select enrollment_id, step_key from message where id = e.message_id offset 0) m
    join enrollment n on n.id = m.enrollment_id
    where ${hits} and ${countsAsOpened('e')} and n.status = 'active' and n.next_at > $1 and m.step_key = any(n.watches)
    for update of n skip locked)`;

/** People at branches that ask about opens and clicks. */
@Injectable()
export class HitWaitsService {
  #seen: string | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly late: LateHitsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Called before each run of the steps that are due: a hit is noticed once per run, and a million may wait at one branch. */
  async notice(): Promise<void> {
    const now = this.clock.now();
    const [{ newest }]: [{ newest: string }] = await this.dataSource.query(
      'select coalesce(max(id), 0) as newest from tracking_event',
    );
    const look = await this.late.look('waits');
    if (look !== null) {
      for await (const ids of look.pages())
        await this.dataSource.query(noticed('e.id = any ($2::bigint[])'), [now, ids]);
      await look.done(null);
    }
    if (this.#seen !== null) {
      const since = String(BigInt(this.#seen) - BigInt(HITS_LOOKED_AT_AGAIN));
      await this.dataSource.query(noticed('e.id > $2::bigint'), [now, since]);
    }
    this.#seen = newest;
  }
}
