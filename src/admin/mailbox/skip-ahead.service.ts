import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { PLAN_BROADCASTS } from '../../broadcasts/broadcasts.service.js';
import { CLOCK, SystemClock, type Clock } from '../../infra/clock.js';
import { ClockOffset } from '../../infra/clock-offset.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { Wake } from '../../infra/jobs/wake.js';
import { EnrollmentsService } from '../../sequences/enrollments/enrollments.service.js';
import { hasDueWork, nextBroadcastAt } from './due-work.queries.js';

/** Other processes on the database hear of a moved clock here; the payload is the offset in milliseconds. */
const CLOCK_CHANNEL = 'wellspring_clock';
const SETTLE_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

interface DemoTime {
  now: Date;
  nextDueAt: Date | null;
}

/** Demo mode only: a newcomer sees a funnel of ten days in one minute. */
@Injectable()
export class SkipAheadService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly enrollments: EnrollmentsService,
    private readonly messages: MessagesService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Whether the clock of this installation can be moved. Real subscribers must not be hurried. */
  get isOn(): boolean {
    return this.config.demo && this.config.mailboxOn && this.clock instanceof SystemClock;
  }

  async time(): Promise<DemoTime> {
    const dueAt = [
      await this.enrollments.nextDueAt(),
      await this.messages.nextDueAt(),
      await nextBroadcastAt(this.dataSource.manager),
    ];
    const times = dueAt.filter((at) => at !== null).map((at) => at.getTime());
    return { now: this.clock.now(), nextDueAt: times.length === 0 ? null : new Date(Math.min(...times)) };
  }

  /**
   * Makes the next due step the present and waits, 5 s at most, until what was due is planned and sent. What takes
   * longer goes on by itself. Without anything to wait for the clock stands still.
   */
  async skipAhead(): Promise<DemoTime> {
    const { now, nextDueAt } = await this.time();
    if (nextDueAt === null || !(this.clock instanceof SystemClock)) return { now, nextDueAt };
    this.clock.moveForwardTo(nextDueAt);
    // Before anything is sent: after a crash the clock must not fall back behind the rows it has written.
    await new ClockOffset(this.dataSource, this.clock).save();
    const { offsetMs } = this.clock;
    await this.dataSource.transaction(async (manager) => {
      await manager.query(`select pg_notify($1, $2)`, [CLOCK_CHANNEL, String(offsetMs)]);
      await this.wake.notify(manager, 'privacy.end-pauses');
      await this.wake.notify(manager, 'sequences.advance-due');
      await this.wake.notify(manager, PLAN_BROADCASTS);
      await this.wake.notify(manager, 'delivery.send-due');
    });
    await this.settle();
    return this.time();
  }

  private async settle(): Promise<void> {
    // What falls due while we wait belongs to the next press: a present that moved along might never be quiet.
    const now = this.clock.now();
    for (let waitedMs = 0; waitedMs < SETTLE_TIMEOUT_MS; waitedMs += POLL_MS) {
      const until = { stepsUntil: now, mailsUntil: this.clock.now() };
      if (!(await hasDueWork(this.dataSource.manager, until))) return;
      await sleep(POLL_MS);
    }
  }
}
