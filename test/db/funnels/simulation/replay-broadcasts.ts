import { audienceSchema } from '../../../../src/broadcasts/audience.js';
import { BroadcastResends } from '../../../../src/broadcasts/broadcast-resends.service.js';
import { broadcastBody, timingOf } from '../../../../src/broadcasts/broadcasts.schemas.js';
import { BroadcastsService } from '../../../../src/broadcasts/broadcasts.service.js';
import { armKey } from '../../../../src/broadcasts/split.js';
import { decisionText } from '../../../../src/broadcasts/split-results.js';
import {
  actOf,
  readSegments,
  type VirtualBroadcast,
} from '../../../../src/funnels/simulation/virtual-broadcasts.schemas.js';
import type { SimulationOrder } from '../../../../src/funnels/simulation/simulate.js';
import type { BroadcastOutcome } from '../../../../src/funnels/simulation/timeline.js';
import type { Condition } from '../../../../src/segments/condition.js';
import { SegmentsService } from '../../../../src/segments/segments.service.js';
import { FieldsService } from '../../../../src/subscribers/fields.service.js';
import type { TestApp } from '../../../support/app.js';

const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' };

/** Something that is done at a time. */
export interface Plan {
  at: number;
  act(this: void): Promise<unknown>;
}

/** The broadcasts of a simulation in a real installation. What the owner does about them is put among the plans. */
export class ReplayedBroadcasts {
  readonly #ids = new Map<string, string>();

  constructor(
    private readonly test: TestApp,
    private readonly order: SimulationOrder,
    private readonly plans: Plan[],
  ) {}

  idOf(key: string): string {
    return this.#ids.get(key) ?? '';
  }

  keyOf(id: string | null): string | null {
    return [...this.#ids].find(([, one]) => one === id)?.[0] ?? null;
  }

  /** Those that are said in place of a mail's own. */
  subjects(): Set<string | undefined> {
    return new Set(
      this.order.personas.broadcasts.flatMap(({ subject, split }) => [
        subject,
        ...(split?.arms.map((arm) => arm.subject) ?? []),
      ]),
    );
  }

  /** Drafts are there before anybody comes, so that split tests draw the same arms in both worlds. */
  async prepare(): Promise<void> {
    const { broadcasts } = this.order.personas;
    const service = this.get(BroadcastsService);
    const drafts = broadcasts.filter(({ resendOf }) => resendOf === undefined);
    for (const { key, email, subject = null, expiresAt, priority } of drafts) {
      const { id } = await service.create(
        broadcastBody.parse({
          ...{
            key,
            title: key,
            template: email,
            subject,
            audience: { everybody: true },
            sender: SENDER,
          },
          ...(priority === undefined ? {} : { priority }),
          ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
        }),
      );
      this.#ids.set(key, id);
    }
  }

  /** Once the funnels are there, of which segments speak. */
  async begin(): Promise<void> {
    const { broadcasts, segments } = this.order.personas;
    const service = this.get(BroadcastsService);
    if ((await this.get(FieldsService).definitions()).size === 0)
      await this.get(FieldsService).create({ key: 'trialEnd', label: 'Trial', type: 'date', choices: [] });
    const named = JSON.stringify(readSegments(segments, broadcasts).conditions).replaceAll(
      /"broadcast":"(\d+)"/g,
      (_, number: string) => `"broadcast":"${this.idOf(broadcasts[Number(number) - 1]?.key ?? '')}"`,
    );
    for (const [key, conditions] of Object.entries(JSON.parse(named) as Record<string, Condition>))
      await this.get(SegmentsService).create({ key, title: key, conditions });
    // What they offer is sold by the funnels.
    for (const { key, offer = null, split = null, resendOf } of broadcasts)
      if (resendOf === undefined) await service.edit(this.idOf(key), { offer, split });
    for (const broadcast of broadcasts) await this.plan(broadcast);
    for (const act of this.order.personas.owner) {
      const { key, action } = actOf(act);
      this.plans.push({ at: Date.parse(act.at), act: async () => service[action](this.idOf(key)) });
    }
  }

  private async plan(broadcast: VirtualBroadcast): Promise<void> {
    const { key, at, startedAt, tags, segments, funnel, resendOf, subject = null } = broadcast;
    const { priority, expiresAt } = broadcast;
    const service = this.get(BroadcastsService);
    const when = at === undefined ? null : new Date(at);
    const start = async (): Promise<unknown> => service.start(this.idOf(key), when, timingOf(broadcast));
    if (resendOf !== undefined) {
      const act = async (): Promise<unknown> => {
        const { unless = 'opened' } = broadcast;
        const draft = { subject, template: null, unless, title: null };
        const { id } = await this.get(BroadcastResends).draft(this.idOf(resendOf), draft);
        this.#ids.set(key, id);
        if (priority !== undefined || expiresAt !== undefined)
          await service.edit(id, {
            ...(priority === undefined ? {} : { priority }),
            ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) }),
          });
        return start();
      };
      this.plans.push({ at: Date.parse(startedAt ?? at ?? ''), act });
      return;
    }
    const filter = { ...(tags && { tags }), ...(segments && { segments }), ...(funnel && { funnel }) };
    if (Object.keys(filter).length > 0)
      await service.edit(this.idOf(key), { audience: audienceSchema.parse(filter) });
    this.plans.push({ at: Date.parse(startedAt ?? this.order.start.toISOString()), act: start });
  }

  /** When broadcasts begin, and their tests are judged. */
  async times(): Promise<number[]> {
    const rows: { at: Date }[] = await this.test.dataSource.query(
      `select scheduled_at as at from broadcast where state = 'scheduled'
       union all select decide_at from broadcast where state = 'running' and decision is null and decide_at is not null
       union all select coalesce(looked_at, started_at) + interval '10 minutes' from broadcast b
         where state = 'running' and decision is null and decide_at is null and split ? 'guardRails'`,
    );
    return rows.map(({ at }) => at.getTime());
  }

  async outcomes(): Promise<BroadcastOutcome[]> {
    const found: BroadcastOutcome[] = [];
    for (const { key } of this.order.personas.broadcasts) {
      const id = this.#ids.get(key);
      const broadcast = id === undefined ? null : await this.get(BroadcastsService).get(id);
      const decision = broadcast?.decision ?? null;
      found.push({
        broadcast: key,
        beganAt: broadcast?.startedAt?.toISOString() ?? null,
        state: broadcast?.state ?? 'scheduled',
        recipients: broadcast?.planned ?? 0,
        stoppedArms: (broadcast?.stoppedArms ?? []).map(({ arm }) => armKey(arm)),
        decision: decision && {
          at: decision.at,
          arm: armKey(decision.arm),
          verdict: decision.verdict,
          text: decisionText(decision),
        },
      });
    }
    return found;
  }

  private get<T>(token: new (...given: never[]) => T): T {
    return this.test.app.get<T>(token, { strict: false });
  }
}
