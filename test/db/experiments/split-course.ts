import { expect } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY } from '../../support/app.js';
import { openCourse, type Course } from '../sequences/course.js';
import { empty } from '../../support/database.js';

export const SUBJECTS = 'arms: [{ key: a }, { key: b, subject: "{{ subscriber.firstName }}, another" }]';

interface Answer {
  status: number;
  body: Record<string, never>;
}

/** A course whose step `pitch` carries a split test. */
export interface SplitCourse extends Omit<Course, 'clear'> {
  /** The step with its split test, as YAML. */
  step(split: string, more?: string): string;
  /** Puts so many people straight into the sequence, runs what is due, and answers with their ids. */
  join(count: number, from?: number): Promise<string[]>;
  /** People by arm. */
  arms(): Promise<Record<string, number>>;
  /** The person's arm in the newest test. */
  armOf(subscriberId: string): Promise<string | undefined>;
  decideNow(): Promise<void>;
  get(path: string): Promise<Answer>;
  /** The first test, as the API shows it. */
  shown(): Promise<Record<string, unknown>>;
  clear(): Promise<void>;
}

export async function openSplitCourse(): Promise<SplitCourse> {
  const course = await openCourse();
  const { db, clock, test } = course;
  const get = async (path: string): Promise<Answer> => {
    const { status, body } = await test.http.get(path).set('Authorization', `Bearer ${API_KEY}`);
    return { status, body: body as Answer['body'] };
  };
  return {
    ...course,
    step: (split, more = '') => `- { key: pitch, email: emails/story${more}, split: { ${split} } }`,
    join: async (count, from = 1) => {
      const rows: { id: string }[] = await db.query(
        `with s as (
           insert into subscriber (email, email_key, name, status, created_at, confirmed_at, updated_at)
           select n || '@example.com', n || '@example.com', 'Reader', 'active', $3, $3, $3 from generate_series($1::int, $2::int) n returning id)
         insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, started_at)
         select q.id, q.current_version_id, s.id, 'active', v.definition ->> 'first', $3, $3
         from s, sequence q join sequence_version v on v.id = q.current_version_id where q.key = 'course'
         returning subscriber_id as id`,
        [from, from + count - 1, clock.now()],
      );
      await course.run();
      return rows.map(({ id }) => id);
    },
    arms: async () => {
      const rows: { arm: string; people: number }[] = await db.query(
        'select arm, count(*)::int as people from experiment_assignment group by 1',
      );
      return Object.fromEntries(rows.map(({ arm, people }) => [arm, people]));
    },
    armOf: async (id) => {
      const rows: { arm: string }[] = await db.query(
        'select arm from experiment_assignment where subscriber_id = $1 order by experiment_id desc limit 1',
        [id],
      );
      return rows[0]?.arm;
    },
    decideNow: async () => {
      expect(await test.app.get(JobRunner).run('experiments.decide')).toBe('done');
    },
    get,
    shown: async () => {
      const { body } = await get('/api/v1/experiments');
      const [first] = body['data'] as unknown as { id: string }[];
      return (await get(`/api/v1/experiments/${first?.id ?? 0}`)).body;
    },
    clear: async () => {
      await empty(db, 'experiment, conversion, consent_event, alert');
      await course.clear();
    },
  };
}
