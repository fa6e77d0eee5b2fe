import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { TagChangesService } from '../../../src/segments/tag-changes.service.js';
import { openCourse, type Course } from './course.js';

let t: Course;
beforeAll(async () => {
  t = await openCourse();
});
afterAll(async () => t?.test.close());
afterEach(async () => t.clear());

const STEPS = `- { key: hello, email: emails/welcome }
- { key: mark, tag: seen, delay: 1 day }
- { key: pick, if: { tag: seen }, then: [{ key: more, email: emails/story, delay: 1 day }] }`;

/** What is said to whoever gives the tag another name. */
async function refusal(): Promise<string> {
  const rows: { id: string }[] = await t.db.query(
    `insert into tag (name, created_at) values ('seen', now()) on conflict (name) do update set name = excluded.name returning id`,
  );
  const tags = t.test.app.get(TagChangesService, { strict: false });
  return tags.rename(rows[0]?.id ?? '', 'read').then(
    () => 'renamed',
    (error: Error) => error.message,
  );
}

it('who renames a tag is told in which funnel and at which steps it is named', async () => {
  await t.publish(STEPS);
  expect(await refusal()).toBe(
    'The tag "seen" is used by the sequence "A course" (funnel course: steps mark, pick)',
  );
  await t.publish('- { key: hello, email: emails/welcome }', 'exitOn: [{ tag: seen }]');
  expect(await refusal()).toContain('"A course" (funnel course: how it begins or ends)');
});

it('who renames a tag is told where only an earlier version names it, which somebody is in', async () => {
  await t.publish(STEPS);
  await t.enroll(await t.person('ann@example.com'));
  await t.publish('- { key: hello, email: emails/welcome }');
  expect(await refusal()).toContain('(funnel course: an earlier version that somebody is in)');
  await t.db.query(`update enrollment set status = 'completed'`);
  expect(await refusal()).toBe('renamed');
});
