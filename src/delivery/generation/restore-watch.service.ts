import { Inject, Injectable } from '@nestjs/common';
import type { ClientBase } from 'pg';
import { DataSource } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { isDatabaseAway } from '../../infra/database/lost-connection.js';
import { openDataSource } from '../../infra/database/migrate.js';
import { pgPool } from '../../infra/database/pg-pool.js';
import { DomainError } from '../../values/domain-error.js';
import { GenerationGuard } from './generation-guard.service.js';
import { GenerationQueries, PLACE } from './generation.queries.js';

/** Workers look every two seconds, and are started in some. */
const OTHERS_MS = 10_000;

/**
 * A database that is restored under running processes cuts all their connections. The first one to another run of the server, or
 * to another database, is lent to nobody until the ledger behind it was judged and its numbers moved on, if need be: who signs
 * up in that very moment gets no number that somebody has had. Costs each connection one small question, and each restart of
 * PostgreSQL a process a tenth of a second.
 */
@Injectable()
export class RestoreWatch {
  #place: string | null = null;
  #looking: Promise<void> | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly guard: GenerationGuard,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Once, by a process that takes what people send or sends, before it does either. */
  async start(): Promise<void> {
    const { options } = pgPool(this.dataSource);
    const before: (client: ClientBase) => unknown = options.onConnect ?? ((): undefined => undefined);
    // The pool waits for what it returns, and gives a connection up whose first look has failed.
    const onConnect = async (client: ClientBase): Promise<void> => {
      await before(client);
      await this.#see(client);
    };
    await this.#judge();
    options.onConnect = (client): unknown => onConnect(client);
  }

  async #see(client: ClientBase): Promise<void> {
    const { rows } = await client.query<{ place: string }>(`select ${PLACE} as place`);
    if (rows[0]?.place === this.#place) return;
    this.#looking ??= this.#judge()
      .catch(asOutage)
      .finally(() => (this.#looking = null));
    await this.#looking;
  }

  /** By connections of its own, since those of the pool wait for it. */
  async #judge(): Promise<void> {
    const own = await openDataSource(this.config.databaseUrl);
    try {
      const [row]: { place: string }[] = await own.query(`select ${PLACE} as place`);
      const guard = this.guard.by(new GenerationQueries(own), new AlertsService(own, this.clock));
      await guard.lookAtStart({
        isWorker: this.config.roles.includes('worker'),
        othersMs: OTHERS_MS,
      });
      this.#place = row?.place ?? null;
    } finally {
      await own.destroy();
    }
  }
}

/** Who waits here is a visitor or a job, and no owner who has set a wrong address: for them the database is away. */
function asOutage(error: unknown): never {
  if (error instanceof DomainError && isDatabaseAway(error.cause)) throw error.cause;
  throw error;
}
