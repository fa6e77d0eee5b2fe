import type { DataSource } from 'typeorm';
import { FunnelsService, type FunnelPlan } from '../../../src/funnels/funnels.service.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { EnrollmentsService } from '../../../src/sequences/enrollments/enrollments.service.js';
import type { FixedClock } from '../../support/clock.js';
import { defineOwnFields } from '../../support/own-fields.js';
import { API_KEY, START, startTestApp, type TestApp } from '../../support/app.js';
import { empty } from '../../support/database.js';

export interface Course {
  test: TestApp;
  db: DataSource;
  clock: FixedClock;
  /** Applies a funnel whose sequence has these steps, as YAML of a list; `more` are lines of the sequence. */
  publish(steps: string, more?: string, key?: string): Promise<FunnelPlan>;
  /** An active subscriber, not in any sequence. */
  person(address: string, more?: Person): Promise<string>;
  enroll(subscriberId: string, key?: string, entryKey?: string): Promise<string>;
  /** Moves the clock and runs what is due. */
  at(time: string): Promise<void>;
  /** Runs what is due now. */
  run(): Promise<void>;
  /** What has been planned has gone out now; for tests that send nothing. */
  gone(): Promise<void>;
  /** The steps whose mails were planned, in their order, without those that were cancelled. */
  mails(subscriberId: string): Promise<string[]>;
  /** The last enrollment in the sequence. */
  place(subscriberId: string, key?: string): Promise<Record<string, unknown> | undefined>;
  /** What is written down about steps that are no mails. */
  outcomes(subscriberId: string): Promise<Record<string, string>>;
  hit(subscriberId: string, step: string, kind: 'open' | 'click', by?: string): Promise<void>;
  post(path: string, body: object): Promise<{ status: number; body: Record<string, unknown> }>;
  clear(): Promise<void>;
}

interface Person {
  timeZone?: string;
  fields?: Record<string, unknown>;
  tags?: string[];
  /** The code of whose link they came by. */
  affiliate?: string;
  isAffiliate?: boolean;
}

export const funnelText = (steps: string, more = '', key = 'course'): string => `funnel: ${key}
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: ${key}, headline: Get it, consent: Send it to me }
sequence:
${more
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => `  ${line.trim()}`)
  .join('\n')}
  steps:
${steps
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => `    ${line}`)
  .join('\n')}
products:
  - { key: ${key}-kit, name: Kit, price: 49.00 EUR }
offers:
  - { key: ${key}-kit, product: ${key}-kit, discount: 30% }
`;

/** The application with sequences as their owner writes them, and a clock that only the test moves. */
export async function openCourse(variables: Record<string, string> = {}, relay?: string): Promise<Course> {
  const test = await startTestApp({ variables, relay });
  const { app, clock, dataSource: db } = test;
  await defineOwnFields(db, {
    ...{ country: 'text', plan: 'text', level: 'number', score: 'number', paid: 'boolean' },
    ...{ trialEnd: 'date', renewal: 'date' },
    // As a program writes them that knows the hour, too.
    ...{ day: 'text', end: 'text' },
  });
  const get = <T>(token: new (...given: never[]) => T): T => app.get<T>(token, { strict: false });
  const run = async (): Promise<void> => {
    await get(JobRunner).run('sequences.advance-due');
  };
  return {
    ...{ test, db, clock, run },
    publish: async (steps, more, key) =>
      get(FunnelsService).apply(funnelText(steps, more, key), null, 'course.yaml'),
    person: async (address, { timeZone, fields = {}, tags = [], affiliate, isAffiliate } = {}) => {
      const rows: { id: string }[] = await db.query(
        `insert into subscriber (email, email_key, name, status, time_zone, fields, created_at, confirmed_at, updated_at)
         values ($1, $1, 'Reader', 'active', $2, $3, $4, $4, $4) returning id`,
        [address, timeZone ?? null, JSON.stringify(fields), clock.now()],
      );
      const id = rows[0]?.id ?? '';
      for (const tag of tags)
        await db.query(
          `with t as (insert into tag (name, created_at) values ($2, now()) on conflict (name) do update set name = excluded.name returning id)
           insert into subscriber_tag (subscriber_id, tag_id, created_at) select $1, id, now() from t`,
          [id, tag],
        );
      const partner = `insert into affiliate (code, name, email, email_key, state, created_at, updated_at)
         values ($1, $1, $2, $2, 'active', now(), now())`;
      if (isAffiliate) await db.query(`${partner} on conflict do nothing`, [`own-${id}`, address]);
      if (affiliate !== undefined) {
        await db.query(`${partner} on conflict do nothing`, [affiliate, `${affiliate}@example.org`]);
        await db.query(
          `insert into referral (subscriber_id, affiliate_id, touched_at, source, recorded_at)
           select $1, id, now(), 'form', now() from affiliate where code = $2`,
          [id, affiliate],
        );
      }
      return id;
    },
    enroll: async (subscriberId, key = 'course', entryKey) =>
      db.transaction(async (manager) =>
        get(EnrollmentsService).enroll(manager, {
          ...{ sequenceKey: key, subscriberId, data: {} },
          ...(entryKey === undefined ? {} : { entryKey }),
        }),
      ),
    at: async (time) => {
      clock.set(time);
      await run();
    },
    gone: async () => {
      await db.query(`update message set state = 'accepted', accepted_at = $1 where state = 'ready'`, [
        clock.now(),
      ]);
    },
    mails: async (subscriberId) => {
      const rows: { step: string }[] = await db.query(
        `select step_key as step from message where subscriber_id = $1 and state <> 'cancelled' order by id`,
        [subscriberId],
      );
      return rows.map(({ step }) => step);
    },
    place: async (subscriberId, key = 'course') => {
      const rows: Record<string, unknown>[] = await db.query(
        `select e.id, e.status, e.exit_reason as reason, e.step_key as step, e.next_at as "nextAt", e.occurrence
         from enrollment e join sequence q on q.id = e.sequence_id where e.subscriber_id = $1 and q.key = $2
         order by e.id desc limit 1`,
        [subscriberId, key],
      );
      return rows[0];
    },
    outcomes: async (subscriberId) => {
      const rows: { step: string; outcome: string }[] = await db.query(
        `select s.step_key as step, s.outcome from enrollment_step s join enrollment e on e.id = s.enrollment_id
         where e.subscriber_id = $1 order by s.at`,
        [subscriberId],
      );
      return Object.fromEntries(rows.map(({ step, outcome }) => [step, outcome]));
    },
    hit: async (subscriberId, step, kind, by = 'human') => {
      await db.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, at, subscriber_id)
         select $3, id, $4, 'test', 1, $5, subscriber_id from message where subscriber_id = $1 and step_key = $2`,
        [subscriberId, step, kind, by, clock.now()],
      );
    },
    post: async (path, body) => {
      const answer = await test.http.post(path).set('Authorization', `Bearer ${API_KEY}`).send(body);
      return { status: answer.status, body: answer.body as Record<string, unknown> };
    },
    clear: async () => {
      clock.set(START);
      await empty(
        db,
        'message, subscriber, sequence, funnel, form, product, tag, webhook_delivery, sequence_signal, tracking_event, entry_hit, field_signal',
      );
    },
  };
}
