import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { ExperimentsService } from '../../experiments/experiments.service.js';
import { Wake } from '../../infra/jobs/wake.js';
import { BatchChangesQueries } from '../../subscribers/batch-changes.queries.js';
import type { SubscriberFields } from '../../subscribers/subscriber.js';
import type { BatchPlan, Entry, SubscriberChange } from '../advance/batch-plan.js';
import type { Trigger } from '../steps/condition.js';
import { ADVANCE_DUE, EnrollingService } from '../enrollments/enrolling.service.js';

export const DELIVER_WEBHOOKS = 'sequences.deliver-webhooks';
export const NOTIFY_OWNER = 'sequences.notify-owner';

/** `before`: what the fields of the person held, where they were set. */
interface Signal {
  id: string;
  enrollmentId: string;
  trigger: Trigger | null;
  before: SubscriberFields | null;
}

type TagChange = Extract<SubscriberChange, { kind: 'tag' | 'untag' }>;

/** What the steps of a batch do besides planning mail. */
@Injectable()
export class EffectsService {
  constructor(
    private readonly subscribers: BatchChangesQueries,
    private readonly enrolling: EnrollingService,
    private readonly experiments: ExperimentsService,
    private readonly wake: Wake,
  ) {}

  /** Those of the people whom nobody else works on at the moment; locked until the transaction ends. */
  async lockFree(manager: EntityManager, subscriberIds: readonly string[]): Promise<Set<string>> {
    return this.subscribers.lockFree(manager, subscriberIds);
  }

  /** In the transaction that moves the people on. */
  async apply(manager: EntityManager, plan: BatchPlan, now: Date): Promise<void> {
    const { changes, entries, hooks, notices, assignments } = plan;
    await this.experiments.assign(manager, assignments, now);
    const before = new Map<string, SubscriberFields>();
    const taken = new Set<string>();
    for (const run of runsOf(changes)) {
      const held = await this.change(manager, run, { now, taken });
      for (const [id, fields] of held) if (!before.has(id)) before.set(id, fields);
    }
    await this.signal(manager, changes, { before, taken, now });
    for (const [key, people] of byKey(entries))
      await this.enrolling.join(manager, key, people, { byStep: true });
    await this.tell(manager, { hooks, notices }, now);
  }

  /** Rows that a job of their own sends from: nothing leaves before the transaction has committed. */
  private async tell(
    manager: EntityManager,
    { hooks, notices }: Pick<BatchPlan, 'hooks' | 'notices'>,
    now: Date,
  ): Promise<void> {
    if (hooks.length > 0) {
      await manager.query(
        `insert into webhook_delivery (enrollment_id, step_key, url, due_at, created_at)
         select id, step_key, url, $4, $4 from unnest($1::bigint[], $2::text[], $3::text[]) as h (id, step_key, url)
         on conflict do nothing`,
        [
          hooks.map(({ enrollmentId }) => enrollmentId),
          hooks.map(({ stepKey }) => stepKey),
          hooks.map(({ url }) => url),
          now,
        ],
      );
      await this.wake.notify(manager, DELIVER_WEBHOOKS);
    }
    if (notices.length === 0) return;
    await manager.query(
      `insert into owner_notice (enrollment_id, step_key, notice, created_at)
       select id, step_key, notice, $4 from unnest($1::bigint[], $2::text[], $3::text[]) as n (id, step_key, notice)
       on conflict do nothing`,
      [
        notices.map(({ enrollmentId }) => enrollmentId),
        notices.map(({ stepKey }) => stepKey),
        notices.map(({ text }) => text),
        now,
      ],
    );
    await this.wake.notify(manager, NOTIFY_OWNER);
  }

  /** Returns what the people's fields held before, where the run sets fields; adds to `taken` the tags that were there and are not. */
  private async change(
    manager: EntityManager,
    run: readonly SubscriberChange[],
    { now, taken }: { now: Date; taken: Set<string> },
  ): Promise<ReadonlyMap<string, SubscriberFields>> {
    const tags = run.filter((change): change is TagChange => change.kind !== 'set');
    const pairs = tags.flatMap(({ subscriberId, tags: names }) =>
      names.map((tag) => ({ subscriberId, tag })),
    );
    if (run[0]?.kind === 'tag') await this.subscribers.addTags(manager, pairs, now);
    else if (run[0]?.kind === 'untag')
      for (const { subscriberId, tag } of await this.subscribers.removeTags(manager, pairs))
        taken.add(`${subscriberId} ${tag}`);
    else return this.subscribers.setFields(manager, mergedFields(run), now);
    return new Map();
  }

  /**
   * A person's other sequences hear of it in a transaction of its own, right after: another worker may hold them, and
   * waiting here, with this batch's locks, could be a deadlock.
   */
  private async signal(
    manager: EntityManager,
    changes: readonly SubscriberChange[],
    {
      before,
      taken,
      now,
    }: { before: ReadonlyMap<string, SubscriberFields>; taken: ReadonlySet<string>; now: Date },
  ): Promise<void> {
    const given = changes.flatMap((change): Signal[] => {
      const { subscriberId: id, enrollmentId } = change;
      if (change.kind === 'tag')
        return change.tags.map((tag) => ({ id, enrollmentId, trigger: { kind: 'tag', tag }, before: null }));
      if (change.kind === 'untag')
        return change.tags
          .filter((tag) => taken.has(`${id} ${tag}`))
          .map((tag) => ({ id, enrollmentId, trigger: { kind: 'untagged', tag }, before: null }));
      return [{ id, enrollmentId, trigger: null, before: before.get(id) ?? null }];
    });
    if (given.length === 0) return;
    await manager.query(
      `insert into sequence_signal (subscriber_id, trigger, before, created_at, enrollment_id)
       select id, trigger, before, $4, enrollment_id
       from unnest($1::bigint[], $2::jsonb[], $3::jsonb[], $5::bigint[]) as g (id, trigger, before, enrollment_id)`,
      [
        given.map(({ id }) => id),
        given.map(({ trigger }) => JSON.stringify(trigger)),
        given.map((one) => (one.before === null ? null : JSON.stringify(one.before))),
        now,
        given.map(({ enrollmentId }) => enrollmentId),
      ],
    );
    await this.wake.notify(manager, ADVANCE_DUE);
  }
}

/** Changes of one kind that follow each other: a tag that is given and taken in one turn ends as the last step says. */
function runsOf(changes: readonly SubscriberChange[]): SubscriberChange[][] {
  const runs: SubscriberChange[][] = [];
  for (const change of changes) {
    const last = runs.at(-1);
    if (last?.[0]?.kind === change.kind) last.push(change);
    else runs.push([change]);
  }
  return runs;
}

function mergedFields(
  run: readonly SubscriberChange[],
): { subscriberId: string; fields: Record<string, string | number | boolean | null> }[] {
  const merged = new Map<string, Record<string, string | number | boolean | null>>();
  for (const change of run) {
    if (change.kind !== 'set') continue;
    merged.set(change.subscriberId, { ...merged.get(change.subscriberId), ...change.fields });
  }
  return [...merged].map(([subscriberId, fields]) => ({ subscriberId, fields }));
}

function byKey(entries: readonly Entry[]): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const group = groups.get(entry.sequenceKey);
    if (group) group.push(entry);
    else groups.set(entry.sequenceKey, [entry]);
  }
  return groups;
}
