import { afterAll, beforeAll, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { openCourse, type Course } from '../course.js';

let t: Course;
beforeAll(async () => {
  t = await openCourse();
});
afterAll(async () => t?.test.close());

const look = async (): Promise<unknown> =>
  t.test.app.get(JobRunner, { strict: false }).run('sequences.watch-clock');

it('people whom a clock moved on that was thirty days ahead stood a month on, and nobody was told', async () => {
  await t.publish(
    '- { key: one, email: emails/story, delay: 1 hour }\n- { key: two, email: emails/story, delay: 1 day }',
  );
  await t.publish('- { key: far, email: emails/story, delay: 90 days }', '', 'far');
  await t.enroll(await t.person('reader@example.com'));
  await t.enroll(await t.person('other@example.com'), 'far');
  await look();
  t.clock.advance(30 * 86_400_000);
  await t.run();
  await look();
  t.clock.advance(-30 * 86_400_000);
  await look();
  const alerts = async (): Promise<unknown> =>
    t.db.query(`select key, message from alert where resolved_at is null`);
  const told = {
    key: 'clock:ahead',
    message: expect.stringMatching(/about 30 days ahead.* moved on meanwhile \(1\)/) as string,
  };
  expect(await alerts()).toEqual([told]);
  await look();
  expect(await alerts()).toEqual([told]);
  t.clock.advance(8 * 86_400_000);
  await look();
  expect(await alerts()).toEqual([]);
});
