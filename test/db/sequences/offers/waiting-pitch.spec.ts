import { afterAll, beforeAll, expect, it } from 'vitest';
import { openCourse, type Course } from '../course.js';

let t: Course;
beforeAll(async () => {
  t = await openCourse();
});
afterAll(async () => t?.test.close());

it('a pitch that waits does not go to whom its owner tags as a buyer: steps passed them over, and what was written went', async () => {
  await t.publish(
    '- { key: pitch, offer: course-kit, email: emails/offer }\n- { key: last, email: emails/story, delay: 1 day }',
  );
  const id = await t.person('ann@example.com');
  await t.enroll(id);
  await t.run();
  expect(await t.mails(id)).toEqual(['pitch']);
  await t.post(`/api/v1/subscribers/${id}/tags`, { name: 'bought:course-kit' });
  const rows: unknown[] = await t.db.query('select state, state_reason as reason from message');
  expect(rows).toEqual([{ state: 'cancelled', reason: 'already owns course-kit' }]);
  t.clock.advance(86_400_000);
  await t.run();
  expect(await t.mails(id)).toEqual(['last']);
});
