import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { storeAssignments } from './assignments.queries.js';
import type { Judgement } from './decide.js';
import type { ExperimentTerms, NewAssignment } from './experiment-terms.js';
import type { Experiment } from './experiment.js';
import { breachText } from './guard-rails.js';
import { countOutcomes, countPeople } from './outcomes.queries.js';
import { judge, resultsOf, sharesAfter, verdictText, type Evidence, type Results } from './results.js';
import { plannedShares, type Shares } from './test-plan.js';
import { isMove } from './thompson.js';

const EXPERIMENT = `select id, key, funnel_key as "funnelKey", step_key as "stepKey", terms, started_at as "startedAt",
  started_at + (terms ->> 'horizonSeconds')::bigint * interval '1 second' as "endsAt", verdict, decided_at as "decidedAt"
  from experiment`;

/** How long the owner is told that a test has been decided. */
const NEWS_MS = 7 * 86_400_000;

const decidedKey = (id: string): string => `experiment:${id}:decided`;
const sampleRatioKey = (id: string): string => `experiment:${id}:sample-ratio`;
const armKey = (id: string, arm: number): string => `experiment:${id}:arm:${arm}`;

/** Split tests: who gets what, and what came of it. The only writer of `experiment` and its tables. */
@Injectable()
export class ExperimentsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Begins a test, unless one with the key has begun already: nothing of it changes any more. */
  async open(
    manager: EntityManager,
    {
      key,
      test,
      funnelKey,
      stepKey,
      terms,
    }: { key: string; test: string; funnelKey: string; stepKey: string; terms: ExperimentTerms },
  ): Promise<void> {
    await manager.query(
      `with made as (
         insert into experiment (key, test, funnel_key, step_key, terms, started_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (key) do nothing returning id)
       insert into experiment_period (experiment_id, period, shares) select id, 0, $7 from made`,
      [
        key,
        test,
        funnelKey,
        stepKey,
        JSON.stringify(terms),
        this.clock.now(),
        JSON.stringify(plannedShares(terms)),
      ],
    );
  }

  /** As `storeAssignments`. */
  async assign(manager: EntityManager, people: readonly NewAssignment[], now: Date): Promise<void> {
    await storeAssignments(manager, people, now);
  }

  /** Looks at every test that runs, each in a transaction of its own; a test that another process looks at is left to it. */
  async decideAll(signal: AbortSignal): Promise<void> {
    const running: { id: string }[] = await this.dataSource.query(
      'select id from experiment where decided_at is null order by id',
    );
    for (const { id } of running) {
      if (signal.aborted) return;
      await this.dataSource.transaction(async (manager) => this.look(manager, id));
    }
    await this.forgetNews();
  }

  /** That a test was decided is news, not a trouble somebody puts right: it stands for a week. */
  private async forgetNews(): Promise<void> {
    const old = new Date(this.clock.now().getTime() - NEWS_MS);
    const rows: { id: string }[] = await this.dataSource.query(
      `select id from experiment where decided_at > $1::timestamptz - interval '1 day' and decided_at <= $1`,
      [old],
    );
    for (const { id } of rows) await this.alerts.resolve(decidedKey(id));
  }

  /** Newest first. */
  async list(page: { beforeId?: string | undefined; limit: number }): Promise<Experiment[]> {
    return this.dataSource.query(
      `${EXPERIMENT} where $1::bigint is null or id < $1 order by id desc limit $2`,
      [page.beforeId ?? null, page.limit],
    );
  }

  /** With the numbers of this moment. Throws `EXPERIMENT_NOT_FOUND`. */
  async get(id: string): Promise<Experiment & { results: Results }> {
    const { manager } = this.dataSource;
    const rows: Experiment[] = await manager.query(`${EXPERIMENT} where id = $1`, [id]);
    const [experiment] = rows;
    if (!experiment) throw notFound('experiment', id);
    const evidence = await this.evidence(manager, experiment);
    return { ...experiment, results: resultsOf(evidence) };
  }

  /** The decision is written once: who holds the row writes it, and nobody looks at it again. */
  private async look(manager: EntityManager, id: string): Promise<void> {
    const rows: Experiment[] = await manager.query(
      `${EXPERIMENT} where id = $1 and decided_at is null for update skip locked`,
      [id],
    );
    const [experiment] = rows;
    if (!experiment) return;
    const evidence = await this.evidence(manager, experiment);
    const judgement = judge(evidence);
    await this.warn(manager, experiment, judgement);
    const { verdict } = judgement;
    if (verdict.kind !== 'running') {
      await this.end(manager, experiment, verdict);
      await this.alerts.raise(
        {
          key: decidedKey(id),
          severity: 'info',
          message: `Split test ${experiment.stepKey} of ${experiment.funnelKey}: ${verdictText(verdict, experiment.terms)}`,
        },
        manager,
      );
      return;
    }
    const shares = sharesAfter(evidence, judgement);
    await this.share(manager, id, evidence.periods, shares);
  }

  /**
   * The owner ends the test: from here on everybody new gets the arm, the control where none is named. Who has an arm
   * keeps it. Throws `EXPERIMENT_NOT_FOUND`, `EXPERIMENT_ARM_INVALID` and `EXPERIMENT_ALREADY_DECIDED`.
   */
  async stop(id: string, arm: string | null): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const rows: Experiment[] = await manager.query(`${EXPERIMENT} where id = $1 for update`, [id]);
      const [experiment] = rows;
      if (!experiment) throw notFound('experiment', id);
      const { terms, verdict } = experiment;
      const keys = terms.arms.map(({ key }) => key);
      if (arm !== null && !keys.includes(arm))
        throw new DomainError(
          'EXPERIMENT_ARM_INVALID',
          `arm: there is no arm "${arm}"; there are: ${keys.join(', ')}`,
          {
            arms: keys,
          },
        );
      if (verdict !== null) {
        const text = `the test is over already: ${verdictText(verdict, terms)}`;
        throw new DomainError('EXPERIMENT_ALREADY_DECIDED', text, { id });
      }
      await this.end(manager, experiment, {
        kind: 'stopped',
        arm: arm ?? keys[0] ?? '',
        isChosen: arm !== null,
      });
    });
  }

  private async end(
    manager: EntityManager,
    { id, terms }: Experiment,
    verdict: NonNullable<Experiment['verdict']>,
  ): Promise<void> {
    await manager.query('update experiment set verdict = $2, decided_at = $3 where id = $1', [
      id,
      JSON.stringify(verdict),
      this.clock.now(),
    ]);
    // What was wrong with a test that is over is part of its result.
    await this.alerts.resolve(sampleRatioKey(id), manager);
    for (const arm of terms.arms.keys()) await this.alerts.resolve(armKey(id, arm), manager);
  }

  private async share(
    manager: EntityManager,
    id: string,
    periods: readonly Shares[],
    shares: Shares,
  ): Promise<void> {
    if (!isMove(periods.at(-1) ?? [], shares)) return;
    await manager.query('insert into experiment_period (experiment_id, period, shares) values ($1, $2, $3)', [
      id,
      periods.length,
      JSON.stringify(shares),
    ]);
  }

  private async warn(
    manager: EntityManager,
    { id, stepKey, funnelKey, terms }: Experiment,
    { ratio, breaches }: Judgement,
  ): Promise<void> {
    const name = `Split test ${stepKey} of ${funnelKey}`;
    const key = sampleRatioKey(id);
    if (ratio.mismatch)
      await this.alerts.raise(
        {
          key,
          severity: 'warning',
          message: `${name}: the arms do not hold the numbers of people they should, so no winner is named.`,
          facts: { ...ratio },
        },
        manager,
      );
    else await this.alerts.resolve(key, manager);
    for (const breach of breaches) {
      const arm = terms.arms[breach.arm]?.key ?? '';
      await this.alerts.raise(
        {
          key: armKey(id, breach.arm),
          severity: 'warning',
          message: `${name}: the arm “${arm}” ${breachText(breach)}`,
        },
        manager,
      );
    }
  }

  private async evidence(manager: EntityManager, { id, terms, endsAt }: Experiment): Promise<Evidence> {
    const now = this.clock.now();
    const periods: { shares: Shares }[] = await manager.query(
      'select shares from experiment_period where experiment_id = $1 order by period',
      [id],
    );
    return {
      terms,
      periods: periods.map(({ shares }) => shares),
      outcomes: await countOutcomes(manager, { id, terms, now }),
      people: await countPeople(manager, { id, terms }),
      isOver: endsAt <= now,
    };
  }
}
