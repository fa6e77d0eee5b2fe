import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Wake } from '../../infra/jobs/wake.js';
import {
  leafKey,
  sameTrigger,
  type EntryTrigger,
  type FieldTrigger,
  type Trigger,
} from '../steps/condition.js';
import { ADVANCE_DUE, EnrollingService } from '../enrollments/enrolling.service.js';
import { EXIT } from '../steps/exit-reasons.js';
import {
  cameToHold,
  isToldOf,
  listenedFields,
  metByFields,
  pitchesTo,
  productGained,
  reactionsTo,
  type Causes,
  type FieldsOf,
  type Jump,
  type Place,
} from './reactions.js';
import { VersionsService } from '../advance/versions.service.js';

/** What the people were told by: `entryKey` names an event; `causes`: steps of their sequences; `at`: when, if not now. */
export interface Cause {
  entryKey?: string | undefined;
  causes?: Causes | undefined;
  at?: Date | undefined;
}

/** Somebody who may join, and what names the event that makes them. */
export interface Beginner {
  id: string;
  entryKey: string | undefined;
}

/** With whom it belongs to, and since when they have been there. */
type OwnPlace = Place & { subscriberId: string; startedAt: Date };

/** How people come to join: by a step of a sequence, by what happened at a time before now. */
interface Beginning {
  byStep?: boolean;
  since?: Date | undefined;
}

/** Of which people's enrollments. */
const OF = {
  people: 'e.subscriber_id = any($1::bigint[])',
  enrollments: 'e.id = any($1::bigint[])',
} as const;

/** What happens to people outside of their sequences, and what it means inside: in the transaction of what happened. */
@Injectable()
export class ReactionsService {
  constructor(
    private readonly versions: VersionsService,
    private readonly messages: MessagesService,
    private readonly enrolling: EnrollingService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * They leave the sequences that this ends, go to the goals that it reaches, and join the sequences that it begins; what
   * waits looks again. What was planned for who leaves or jumps is not sent. What happened before somebody joined a sequence
   * means nothing to it.
   */
  async happened(
    manager: EntityManager,
    subscriberIds: readonly string[],
    trigger: Trigger,
    cause: Cause = {},
  ): Promise<void> {
    const { entryKey, causes, at } = cause;
    const all = await this.places(manager, OF.people, subscriberIds, causes);
    const places = at === undefined ? all : all.filter(({ startedAt }) => startedAt <= at);
    await this.react(manager, places, trigger);
    await this.withdraw(manager, places, trigger);
    await this.lookAgain(manager, subscriberIds);
    const people = subscriberIds.map((id) => ({ id, entryKey }));
    await this.begin(manager, people, trigger, { byStep: causes !== undefined, since: at });
  }

  /** As `happened`, of people for whom somebody else has done it: it begins no sequence, and reaches no goal but ends. */
  async met(manager: EntityManager, subscriberIds: readonly string[], trigger: Trigger): Promise<void> {
    await this.react(manager, await this.places(manager, OF.people, subscriberIds), trigger, true);
  }

  /** People have opened or clicked a mail for the first time; each mail is an event of its own. */
  async readMail(manager: EntityManager, people: readonly Beginner[], trigger: EntryTrigger): Promise<void> {
    await this.begin(manager, people, trigger);
  }

  /** What has happened in these enrollments alone, such as a click on a mail of theirs. */
  async metIn(manager: EntityManager, enrollmentIds: readonly string[], trigger: Trigger): Promise<void> {
    await this.react(manager, await this.places(manager, OF.enrollments, enrollmentIds), trigger);
  }

  /**
   * Fields of the people have other values: they leave what that ends and go to the goals it reaches, what waits looks
   * again, and they join what begins with a value: each only where it did not hold `before`. Whoever is not in `before` has
   * changed otherwise, such as lost a tag.
   */
  async changed(
    manager: EntityManager,
    subscriberIds: readonly string[],
    { before, causes }: { before: ReadonlyMap<string, FieldsOf>; causes?: Causes | undefined },
  ): Promise<void> {
    if (before.size > 0) {
      const met = await this.fieldsMet(manager, before, causes);
      for (const { trigger, places } of met) await this.react(manager, places, trigger);
    }
    await this.lookAgain(manager, subscriberIds);
    if (before.size > 0) await this.beginByFields(manager, before, causes !== undefined);
  }

  /**
   * They may be written to since: they join what begins with a value that they hold, a tag that they have, a list that they are on, or the affiliate
   * by whose link they came before. It is no news where they are already.
   */
  async arrived(manager: EntityManager, subscriberIds: readonly string[]): Promise<void> {
    await this.beginByFields(manager, new Map(subscriberIds.map((id) => [id, {}])), false);
    const tags: { tag: string; ids: string[] }[] = await manager.query(
      `select t.name as tag, array_agg(h.subscriber_id::text order by h.subscriber_id) as ids
       from subscriber_tag h join tag t on t.id = h.tag_id join listened_tag l on l.name = t.name
       where h.subscriber_id = any($1::bigint[]) group by t.name order by t.name`,
      [subscriberIds],
    );
    for (const { tag, ids } of tags) {
      const people = ids.map((id) => ({ id, entryKey: undefined }));
      await this.begin(manager, people, { kind: 'tag', tag });
    }
    for (const { list, ids } of await listsOf(manager, subscriberIds))
      await this.begin(
        manager,
        ids.map((id) => ({ id, entryKey: undefined })),
        { kind: 'list', list },
      );
    for (const { whose, ids } of await affiliatesOf(manager, subscriberIds)) {
      const people = ids.map((id) => ({ id, entryKey: undefined }));
      // As by a step: a link that they came by just now, and that has begun it already, does not begin it once more.
      await this.begin(manager, people, { kind: 'affiliate', whose }, { byStep: true });
    }
  }

  private async react(
    manager: EntityManager,
    places: readonly Place[],
    trigger: Trigger,
    byAnother = false,
  ): Promise<void> {
    const versions = await this.versions.running(manager, places);
    const now = this.clock.now();
    const { exits, reason, jumps } = reactionsTo(places, versions, trigger, { now, byAnother });
    await this.end(manager, exits, reason);
    for (const jump of jumps) await this.jump(manager, jump, now);
  }

  /** What waits to offer people what they own now is not sent. */
  private async withdraw(manager: EntityManager, places: readonly Place[], trigger: Trigger): Promise<void> {
    const product = productGained(trigger);
    if (product === null || places.length === 0) return;
    const versions = await this.versions.running(manager, places);
    const pitches = pitchesTo(places, versions, product, (slug, { offers }) => offers.get(slug)?.product);
    const keys = pitches.map(({ id, step }) => `seq:${id}:${step}`);
    await this.messages.cancelPlanned(manager, keys, EXIT.owns(product));
  }

  private async fieldsMet(
    manager: EntityManager,
    before: ReadonlyMap<string, FieldsOf>,
    causes: Causes | undefined,
  ): Promise<{ trigger: FieldTrigger; places: OwnPlace[] }[]> {
    const subscriberIds = [...before.keys()];
    const places = await this.places(manager, OF.people, subscriberIds, causes);
    const versions = await this.versions.running(manager, places);
    if (places.every((place) => listenedFields(place, versions).length === 0)) return [];
    const fields = await fieldsOf(manager, subscriberIds);
    return metByFields(places, versions, ({ subscriberId: id }) => ({
      before: before.get(id) ?? {},
      after: fields.get(id) ?? {},
    }));
  }

  /** Something about the people has changed: whoever of them waits for it is looked at now. */
  async lookAgain(manager: EntityManager, subscriberIds: readonly string[]): Promise<void> {
    await manager.query(
      `update enrollment set next_at = $2 where subscriber_id = any($1::bigint[]) and status = 'active'
         and wait_until is not null and next_at > $2`,
      [subscriberIds, this.clock.now()],
    );
    await this.wake.notify(manager, ADVANCE_DUE);
  }

  /** Ends all of a subscriber's enrollments, or those in one funnel. */
  async leave(
    manager: EntityManager,
    { subscriberId, funnelKey, reason }: { subscriberId: string; funnelKey: string | null; reason: string },
  ): Promise<void> {
    const rows: { id: string }[] = await manager.query(
      `select e.id from enrollment e join sequence q on q.id = e.sequence_id
       where e.subscriber_id = $1 and e.status = 'active' and ($2::text is null or q.funnel_key = $2)
       order by e.id for update of e`,
      [subscriberId, funnelKey],
    );
    const ids = rows.map(({ id }) => id);
    await this.end(manager, ids, reason);
  }

  /** Ends one enrollment, or stops what still waits of one that is over; false when it is not there. */
  async exit(manager: EntityManager, enrollmentId: string, reason: string): Promise<boolean> {
    const rows: { id: string }[] = await manager.query('select id from enrollment where id = $1 for update', [
      enrollmentId,
    ]);
    await this.end(
      manager,
      rows.map(({ id }) => id),
      reason,
    );
    return rows.length > 0;
  }

  /** Ends these, which the caller holds. */
  async endAll(manager: EntityManager, enrollmentIds: readonly string[], reason: string): Promise<void> {
    await this.end(manager, enrollmentIds, reason);
  }

  /**
   * Locked, in one order, as two things may happen to a person at once; read by their locked rows, so that a run that held
   * one until now is seen with what it made of it. Those that are over come last: their last mails may wait. Served by the
   * keys of `enrollment`.
   */
  private async places(
    manager: EntityManager,
    which: (typeof OF)[keyof typeof OF],
    ids: readonly string[],
    causes?: Causes,
  ): Promise<OwnPlace[]> {
    const places: (OwnPlace & { isOver: boolean })[] = await manager.query(
      `select e.id, e.subscriber_id as "subscriberId", e.version_id as "versionId", e.status <> 'active' as "isOver",
         e.started_at as "startedAt", case when e.status = 'active' then e.step_key end as "stepKey", s.time_zone as "timeZone"
       from enrollment e join subscriber s on s.id = e.subscriber_id
       where ${which} order by e.id for update of e`,
      [ids],
    );
    const over = places.filter(
      ({ id, subscriberId, isOver }) => isOver && isToldOf(id, causes?.get(subscriberId)),
    );
    return [...places.filter(({ isOver }) => !isOver), ...over];
  }

  /** Those that are over stay as they ended. */
  private async end(manager: EntityManager, ids: readonly string[], reason: string): Promise<void> {
    if (ids.length === 0) return;
    await manager.query(
      `update enrollment set status = 'exited', exit_reason = $2, ended_at = $3, next_at = null, wait_until = null, watches = null
       where id = any($1::bigint[]) and status = 'active'`,
      [ids, reason, this.clock.now()],
    );
    await this.messages.cancelForEnrollments(manager, ids, reason);
  }

  private async jump(manager: EntityManager, { ids, goal, to, nextAt }: Jump, now: Date): Promise<void> {
    await manager.query(
      `insert into enrollment_step (enrollment_id, step_key, outcome, at)
       select id, $2, 'reached', $3 from unnest($1::bigint[]) id on conflict do nothing`,
      [ids, goal, now],
    );
    await manager.query(
      `update enrollment set step_key = $2, next_at = $3, wait_until = null, came_at = null, watches = null, planned_for = null, hours_of = null,
         status = case when $2::text is null then 'completed' else 'active' end,
         ended_at = case when $2::text is null then $4::timestamptz end
       where id = any($1::bigint[])`,
      [ids, to, nextAt, now],
    );
    await this.messages.cancelForEnrollments(manager, ids, EXIT.goal(goal));
  }

  /** Only who may be written to joins anything. */
  private async begin(
    manager: EntityManager,
    people: readonly Beginner[],
    trigger: Trigger | EntryTrigger,
    beginning: Beginning = {},
  ): Promise<void> {
    const listening: { key: string; enterOn: EntryTrigger[] }[] = await manager.query(
      `select q.key, v.definition -> 'enterOn' as "enterOn" from sequence q join sequence_version v on v.id = q.current_version_id
       where v.definition -> 'enterOn' @> $1::jsonb and q.closed_at is null order by q.id`,
      [JSON.stringify([trigger])],
    );
    // One of several values holds those of a trigger with fewer, and is another.
    const sequences = listening.filter(({ enterOn }) => enterOn.some((one) => sameTrigger(one, trigger)));
    if (sequences.length === 0) return;
    const active: { id: string }[] = await manager.query(
      `select id from subscriber where id = any($1::bigint[]) and status = 'active' order by id`,
      [people.map(({ id }) => id)],
    );
    const isActive = new Set(active.map(({ id }) => id));
    const newcomers = people
      .filter(({ id }) => isActive.has(id))
      .map(({ id, entryKey }) => ({ subscriberId: id, data: '{}', entryKey }));
    for (const { key } of sequences) await this.enrolling.join(manager, key, newcomers, beginning);
  }

  /** One small question where no sequence begins with a field. */
  private async beginByFields(
    manager: EntityManager,
    before: ReadonlyMap<string, FieldsOf>,
    byStep: boolean,
  ): Promise<void> {
    const listening: { enterOn: EntryTrigger[] }[] = await manager.query(
      `select v.definition -> 'enterOn' as "enterOn" from sequence q join sequence_version v on v.id = q.current_version_id
       where v.definition -> 'enterOn' @> '[{"kind": "field"}]' order by q.id`,
    );
    if (listening.length === 0) return;
    const ids = [...before.keys()];
    const after = await fieldsOf(manager, ids);
    const triggers = new Map(
      listening.flatMap(({ enterOn }) => enterOn).map((trigger) => [leafKey(trigger), trigger]),
    );
    for (const trigger of triggers.values()) {
      if (trigger.kind !== 'field') continue;
      const met = ids.filter((id) => cameToHold(trigger, before.get(id) ?? {}, after.get(id) ?? {}));
      const people = met.map((id) => ({ id, entryKey: undefined }));
      if (people.length > 0) await this.begin(manager, people, trigger, { byStep });
    }
  }
}

/**
 * Of the people, who came by a link and who are affiliates, by what a condition asks for. By the keys of `referral`,
 * `affiliate` and `subscriber`.
 */
async function affiliatesOf(
  manager: EntityManager,
  subscriberIds: readonly string[],
): Promise<{ whose: string; ids: string[] }[]> {
  return manager.query(
    `select whose, array_agg(id::text order by id) as ids from (
       select r.subscriber_id as id, w.whose, w.place from referral r join affiliate a on a.id = r.affiliate_id
         cross join lateral (values ('any', 1), (a.code, 2)) w (whose, place) where r.subscriber_id = any($1::bigint[])
       union all
       select s.id, 'self', 3 from subscriber s join affiliate a on a.email_key = s.email_key where s.id = any($1::bigint[])) x
     group by whose, place order by place, whose`,
    [subscriberIds],
  );
}

/** Of the people, who are on which of the lists that are listened for. By the key of `list_member`. */
async function listsOf(
  manager: EntityManager,
  subscriberIds: readonly string[],
): Promise<{ list: string; ids: string[] }[]> {
  return manager.query(
    `select g.key as list, array_agg(h.subscriber_id::text order by h.subscriber_id) as ids
     from list_member h join list g on g.id = h.list_id join listened_list l on l.name = g.key
     where h.subscriber_id = any($1::bigint[]) group by g.key order by g.key`,
    [subscriberIds],
  );
}

async function fieldsOf(
  manager: EntityManager,
  subscriberIds: readonly string[],
): Promise<Map<string, FieldsOf>> {
  const rows: { id: string; fields: FieldsOf }[] = await manager.query(
    'select id, fields from subscriber where id = any($1::bigint[])',
    [subscriberIds],
  );
  return new Map(rows.map(({ id, fields }) => [id, fields]));
}
