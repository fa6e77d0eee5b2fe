import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openCourse, type Course } from '../course.js';

const mail = (key: string): string => `{ key: ${key}, email: emails/story }`;

describe('what a step came to', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  it('is asked later: which case of a switch was taken, whether a goal was reached', async () => {
    await t.publish(`
- key: level
  switch: [{ if: { tag: a }, then: [${mail('a')}] }, { if: { tag: b } }]
- { key: won, goal: { tag: won }, otherwise: continue }
- { key: rest, wait: 1 hour }
- { key: first, if: { step: level, was: case 1 }, then: [${mail('one')}] }
- { key: second, if: { step: level, was: case 2 }, then: [${mail('two')}] }
- { key: none, if: { step: level, was: else }, then: [${mail('neither')}] }
- { key: got, if: { step: won, was: reached }, then: [${mail('winner')}], else: [${mail('loser')}] }
- { key: missed, if: { step: won, was: not reached }, then: [${mail('again')}] }`);
    const people = {
      a: ['a', 'one', 'loser', 'again'],
      b: ['two', 'loser', 'again'],
      c: ['neither', 'loser', 'again'],
      won: ['neither', 'winner'],
    };
    const ids = new Map<string, string>();
    for (const name of Object.keys(people))
      ids.set(name, await t.person(`${name}@example.com`, { tags: [name] }));
    for (const id of ids.values()) await t.enroll(id);
    await t.run();
    await t.at('2026-01-05T10:00:00Z');
    for (const [name, mails] of Object.entries(people))
      expect(await t.mails(ids.get(name) ?? '')).toEqual(mails);
  });

  it('is refused where the step cannot come to it, saying what it can', async () => {
    const steps = (was: string, step = 'level'): string => `
- { key: level, switch: [{ if: { tag: a }, then: [${mail('a')}] }, { if: { tag: b } }] }
- { key: won, goal: { tag: won } }
- { key: fork, if: { tag: a }, then: [${mail('left')}] }
- { key: ask, if: { any: [{ tag: x }, { step: ${step}, was: ${was} }] }, then: [${mail('yes')}] }`;
    const message = (was: string, step: string, ...can: string[]): string =>
      `course.yaml:11: sequence.steps.3.if.any.1.was: "${step}" is never "${was}"; ask ran, skipped, ${can.join(', ')}`;
    const cases = ['case 1', 'case 2', 'else'];
    await expect(t.publish(steps('then'))).rejects.toThrow(message('then', 'level', ...cases));
    await expect(t.publish(steps('case 3'))).rejects.toThrow(message('case 3', 'level', ...cases));
    await expect(t.publish(steps('else', 'won'))).rejects.toThrow(
      message('else', 'won', 'reached', 'not reached'),
    );
    await expect(t.publish(steps('case 1', 'fork'))).rejects.toThrow(
      message('case 1', 'fork', 'then', 'else'),
    );
    await expect(t.publish(steps('reached', 'fork'))).rejects.toThrow('"fork" is never "reached"');
    await expect(t.publish(steps('done'))).rejects.toThrow('use ran, skipped, then, else, case 1 and so on');
  });
});
