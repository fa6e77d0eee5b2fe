import { Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AlertsService } from '../alerts/alerts.service.js';
import { durabilityProblems } from './durable-commits.js';

const ALERT = 'database:durability';

/** Tells the owner when their PostgreSQL does not keep what it has confirmed: no mail is sent twice unless it does. */
@Injectable()
export class DatabaseWatch {
  readonly #logger = new Logger(DatabaseWatch.name);

  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
  ) {}

  /** At the start. */
  async look(): Promise<void> {
    const problems = await durabilityProblems(this.dataSource);
    if (problems.length === 0) return this.alerts.resolve(ALERT);
    for (const problem of problems) this.#logger.warn(`PostgreSQL: ${problem}`);
    await this.alerts.raise({
      key: ALERT,
      severity: 'warning',
      message: `A crash of this PostgreSQL may take back what it has confirmed, and mails may then be sent twice. ${problems.join('. ')}.`,
    });
  }
}
