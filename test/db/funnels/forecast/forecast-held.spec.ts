import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FrequencyCapService } from '../../../../src/delivery/pacing/frequency-cap.service.js';
import { SequencePauses } from '../../../../src/delivery/waiting/sequence-pauses.service.js';
import { ForecastService } from '../../../../src/funnels/forecast/forecast.service.js';
import { openCourse, type Course } from '../../sequences/course.js';

describe('a forecast of mails that are held back', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await t.test.app.get(FrequencyCapService, { strict: false }).set({ perDay: null, perWeek: null });
    await t.clear();
  });

  const forecast = async (): Promise<{ days: number[]; leavesOut: string[] }> => {
    const { mails, leavesOut } = await t.test.app
      .get(ForecastService, { strict: false })
      .forecast({ days: 5, level: 0.8 });
    return {
      days: mails.map(({ expected }) => Math.round(expected)),
      leavesOut: leavesOut.map(({ what, why }) => `${what}: ${why}`),
    };
  };
  const enrolled = async (count: number, key = 'course'): Promise<void> => {
    for (let nth = 0; nth < count; nth++)
      await t.enroll(await t.person(`${key}-${nth}@example.com`, {}), key);
  };
  const THREE = ['one', 'two', 'three']
    .map((key) => `- { key: ${key}, email: emails/story, delay: ${key === 'one' ? '1 day' : '1 hour'} }`)
    .join('\n');

  it('has a mail that the frequency cap puts off on the day when it goes, as the run does', async () => {
    await t.publish(THREE);
    await enrolled(10);
    expect((await forecast()).days).toEqual([0, 30, 0, 0, 0]);
    await t.test.app.get(FrequencyCapService, { strict: false }).set({ perDay: 1, perWeek: null });
    expect((await forecast()).days).toEqual([0, 10, 10, 10, 0]);
    expect((await forecast()).leavesOut.join()).toContain('people are followed in one sequence at a time');
  });

  it('counts no mail of a sequence that is paused, says so, and counts them again when it goes on', async () => {
    await t.publish(THREE);
    await t.publish('- { key: only, email: emails/story, delay: 1 day }', '', 'other');
    await enrolled(10);
    await enrolled(4, 'other');
    expect((await forecast()).days).toEqual([0, 34, 0, 0, 0]);
    const pauses = t.test.app.get(SequencePauses, { strict: false });
    await pauses.pause('course', 'a test');
    const { days, leavesOut } = await forecast();
    expect(days).toEqual([0, 4, 0, 0, 0]);
    expect(leavesOut[0]).toMatch(
      /^mails of course, and what would be bought by them: these sequences are paused/,
    );
    await pauses.resume('course');
    expect((await forecast()).days).toEqual([0, 34, 0, 0, 0]);
    await pauses.pause('course', 'a test');
    t.clock.advance(50 * 3_600_000);
    await t.run();
    expect((await forecast()).days).toEqual([0, 0, 0, 0, 0]);
    await pauses.resume('course');
    expect((await forecast()).days).toEqual([30, 0, 0, 0, 0]);
  });

  it('says that everybody is counted with the first arm of a split test', async () => {
    await t.publish(`- { key: zero, email: emails/story, delay: 1 day }
- { key: one, email: emails/story, delay: 1 day, split: { judge: clicks, arms: [{ key: a }, { key: b, delay: 3 days }] } }`);
    await enrolled(10);
    const { days, leavesOut } = await forecast();
    expect(days).toEqual([0, 10, 10, 0, 0]);
    expect(leavesOut.join()).toContain('everybody is counted with the first arm');
  });
});
