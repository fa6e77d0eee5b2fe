import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { funnelText, openCourse, type Course } from '../sequences/course.js';
import { type OwnerPages, ownerPages, plain, tokenIn } from '../../support/owner-pages.js';

const EDIT = '/admin/funnels/course/edit';
const mail = (key: string): string => `- { key: ${key}, email: emails/story, delay: 1 day }`;
const text = (...keys: string[]): string => funnelText(keys.map(mail).join('\n'));

describe('people in a sequence that is edited in the web app', () => {
  let t: Course;
  let owner: OwnerPages;
  beforeAll(async () => {
    t = await openCourse();
    owner = await ownerPages(t.test);
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const days = async (from: number, to: number): Promise<void> => {
    for (let day = from; day <= to; day++) await t.at(`2026-01-${String(day).padStart(2, '0')}T09:00:00Z`);
  };
  /** One has had a, the other a and b, of a, b, c. */
  const started = async (): Promise<{ one: string; two: string }> => {
    await t.publish(['a', 'b', 'c'].map(mail).join('\n'));
    const two = await t.person('two@example.com');
    await t.enroll(two);
    await days(6, 6);
    const one = await t.person('one@example.com');
    await t.enroll(one);
    await days(7, 7);
    return { one, two };
  };
  const planned = async (form: Record<string, string>): Promise<string> =>
    plain((await owner.post(EDIT, { ...form, action: 'plan' }).expect(200)).text);
  const apply = async (form: Record<string, string>): Promise<void> => {
    const token = tokenIn((await owner.post(EDIT, { ...form, action: 'plan' }).expect(200)).text);
    await owner.post(EDIT, { ...form, token, action: 'apply' }).expect(303);
  };

  it('stay where they are unless the owner chooses otherwise', async () => {
    const { one, two } = await started();
    const form = { yaml: text('a', 'x', 'b', 'c'), move: 'stay' };
    expect(await planned(form)).toContain('2 stay in the version they joined');
    await apply(form);
    await days(8, 10);
    expect([await t.mails(one), await t.mails(two)]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
  });

  it('go on in the new one behind what they have had', async () => {
    const { one, two } = await started();
    const form = { yaml: text('a', 'x', 'b', 'c'), move: 'forward-only' };
    expect(await planned(form)).toContain('2 are taken to the new version, forward-only');
    await apply(form);
    await days(8, 11);
    expect([await t.mails(one), await t.mails(two)]).toEqual([
      ['a', 'x', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
  });

  it('get first what was added behind them, as far back as the owner says', async () => {
    const { one, two } = await started();
    const form = { yaml: text('a', 'x', 'b', 'c'), move: 'catch-up', within: '3 days' };
    expect(await planned(form)).toContain('2 are taken to the new version, catch-up');
    await apply(form);
    await days(8, 12);
    expect([await t.mails(one), await t.mails(two)]).toEqual([
      ['a', 'x', 'b', 'c'],
      ['a', 'b', 'x', 'c'],
    ]);
  });

  it('go to the step that is named for theirs, and a step that is nowhere is refused beside the choice', async () => {
    const { one, two } = await started();
    const yaml = text('a', 'y', 'z');
    const nowhere = await owner
      .post(EDIT, { yaml, move: 're-map', map: 'b = q', action: 'plan' })
      .expect(422);
    expect(plain(nowhere.text)).toContain('q');
    const form = { yaml, move: 're-map', map: 'b = y\r\nc = z' };
    expect(await planned(form)).toContain('2 are taken to the new version, re-map');
    await apply(form);
    await days(8, 12);
    expect([await t.mails(one), await t.mails(two)]).toEqual([
      ['a', 'y', 'z'],
      ['a', 'b', 'z'],
    ]);
  });

  it('are taken along only as the plan showed: who came meanwhile, or another choice, shows it anew', async () => {
    const { one } = await started();
    const form = { yaml: text('a', 'x', 'b', 'c'), move: 'forward-only' };
    const token = tokenIn((await owner.post(EDIT, { ...form, action: 'plan' }).expect(200)).text);
    const other = await owner
      .post(EDIT, { ...form, move: 'catch-up', within: '3 days', token, action: 'apply' })
      .expect(409);
    expect(other.text).toContain('Nothing was applied.');
    expect(other.text).toMatch(/value="catch-up" checked/);
    expect(tokenIn(other.text)).not.toBe(token);
    await days(8, 10);
    expect(await t.mails(one)).toEqual(['a', 'b', 'c']);
  });
});
