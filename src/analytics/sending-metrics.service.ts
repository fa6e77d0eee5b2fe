import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { Gauge, Registry } from 'prom-client';
import { DataSource } from 'typeorm';
import { PLACES } from '../delivery/ledger/due-places.queries.js';
import { CLOCK, type Clock } from '../infra/clock.js';

/** Scrapes come several a minute, by several watchers: the ledger is asked once for all of them. */
const FRESH_FOR_MS = 5_000;
/** A scrape that waits for longer is given up, and all other figures with it. */
const ANSWER_WITHIN_MS = 3_000;

interface Figures {
  due: number;
  oldestDueSeconds: number;
  leased: number;
  unknown: number;
  held: number;
  relays: Record<string, string> | null;
  attempts: Record<string, number> | null;
}

/** So many are counted of each queue and priority, and of held and unknown mails: a scrape is to cost little, however many wait. */
const COUNTED = 20_000;

const upTo = (state: string): string =>
  `(select count(*) from (select from message where state = '${state}' limit ${COUNTED}) m)::float8`;

/**
 * What the ledger says of mails at the moment of a scrape. Served by `message_ready`, `message_lease`, the indexes of held and
 * unknown mails, and `message_attempt_finished`.
 */
const FIGURES = `
  ${PLACES}
  select coalesce(sum(waiting.n), 0)::float8 as due,
    coalesce(extract(epoch from $1::timestamptz - min(waiting.first)), 0)::float8 as "oldestDueSeconds",
    ${upTo('leased')} as leased, ${upTo('unknown')} as unknown, ${upTo('held')} as held,
    (select jsonb_object_agg(key, state) from relay_state) as relays,
    (select jsonb_object_agg(outcome, n) from (select outcome, count(*) as n from message_attempt
       where finished_at > clock_timestamp() - interval '60 seconds' group by outcome) a) as attempts
  from place cross join lateral (
    select count(*) as n, min(due_at) as first from (select m.due_at from message m
      where m.state = 'ready' and m.lane_key = place.lane_key and m.priority = place.priority and m.due_at <= $1
      order by m.due_at limit ${COUNTED}) due) waiting`;

/** Mails and relays for Prometheus. While the database is away there are no such figures, and the others stay. */
@Injectable()
export class SendingMetrics {
  #last: { figures: Promise<Figures | null>; atMs: number; isAsked: boolean } | null = null;

  constructor(
    registry: Registry,
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    const gauge = (name: string, help: string, of: (figures: Figures) => number): void => {
      const figures = async (): Promise<Figures | null> => this.figures();
      new Gauge({
        ...{ name, help, registers: [registry] },
        async collect() {
          const now = await figures();
          if (now === null) this.remove();
          else this.set(of(now));
        },
      });
    };
    gauge(
      'wellspring_mails_due',
      `Mails whose time has come and that have not gone, up to ${COUNTED} of each queue and priority`,
      ({ due }) => due,
    );
    gauge(
      'wellspring_mails_oldest_due_seconds',
      'How long the oldest of them has waited',
      (f) => f.oldestDueSeconds,
    );
    gauge('wellspring_mails_claimed', 'Mails that workers have in hand', ({ leased }) => leased);
    gauge(
      'wellspring_mails_unknown',
      `Mails of which nobody knows whether they were taken, up to ${COUNTED}`,
      (f) => f.unknown,
    );
    gauge(
      'wellspring_mails_held',
      `Mails that wait for the owner, a pause or a split test, up to ${COUNTED}`,
      ({ held }) => held,
    );
    this.labelled(registry, {
      ...{ name: 'wellspring_relay_open', help: '1 while a relay is left alone as it is in trouble' },
      ...{
        label: 'relay',
        of: ({ relays }) => mapped(relays ?? {}, (state) => (state === 'closed' ? 0 : 1)),
      },
    });
    this.labelled(registry, {
      ...{ name: 'wellspring_attempts_last_minute', help: 'Tries that ended within the last sixty seconds' },
      ...{ label: 'outcome', of: ({ attempts }) => attempts ?? {} },
    });
  }

  private labelled(
    registry: Registry,
    given: { name: string; help: string; label: string; of: (figures: Figures) => Record<string, number> },
  ): void {
    const { name, help, label, of } = given;
    const figures = async (): Promise<Figures | null> => this.figures();
    new Gauge({
      ...{ name, help, labelNames: [label], registers: [registry] },
      async collect() {
        const now = await figures();
        this.reset();
        for (const [value, count] of Object.entries(now === null ? {} : of(now)))
          this.set({ [label]: value }, count);
      },
    });
  }

  /**
   * Null: the database does not say, or not in time. Never rejects, as one gauge that does takes all others with it. A question
   * that is under way is waited for: a slow database is not asked once more by each scrape.
   */
  private async figures(): Promise<Figures | null> {
    const last = this.#last;
    if (last === null || (!last.isAsked && performance.now() - last.atMs > FRESH_FOR_MS)) {
      const asked = { figures: this.ask(), atMs: performance.now(), isAsked: true };
      this.#last = asked;
      void asked.figures.finally(() => {
        asked.isAsked = false;
      });
    }
    const giveUp = new AbortController();
    const late = delay(ANSWER_WITHIN_MS, null, { signal: giveUp.signal, ref: false }).catch(() => null);
    try {
      return await Promise.race([this.#last?.figures ?? null, late]);
    } finally {
      giveUp.abort();
    }
  }

  private async ask(): Promise<Figures | null> {
    try {
      return await this.dataSource.transaction(async (manager) => {
        await manager.query(`set local statement_timeout = ${ANSWER_WITHIN_MS}`);
        const [figures]: Figures[] = await manager.query(FIGURES, [this.clock.now()]);
        return figures ?? null;
      });
    } catch {
      return null;
    }
  }
}

function mapped<T>(record: Record<string, T>, of: (value: T) => number): Record<string, number> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, of(value)]));
}
