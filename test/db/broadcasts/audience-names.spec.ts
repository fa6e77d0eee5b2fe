import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
  await api('post', 'subscribers', { email: 'vip@example.com', tags: ['vip'] }).expect(201);
});
afterAll(async () => t.close());

const api = (method: 'get' | 'post' | 'patch', path: string, body?: object) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
const draft = (change: object) => ({
  title: 'Spring',
  template: 'emails/story',
  audience: { everybody: true },
  sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' },
  ...change,
});
const written = async (change: object): Promise<string> =>
  (await api('post', 'broadcasts', draft(change)).expect(201)).body.id;
const warnings = async (id: string): Promise<string[]> => {
  const { body } = await api('post', `broadcasts/${id}/preflight`).expect(200);
  return body.findings.flatMap((one: { check: string; message: string }) =>
    one.check === 'audience' ? [one.message] : [],
  );
};

describe('a broadcast', () => {
  it('was taken for a funnel that is not there, and done with no mail', async () => {
    const answer = await api('post', 'broadcasts', draft({ audience: { funnel: 'nope' } })).expect(404);
    expect(answer.body).toMatchObject({ code: 'FUNNEL_NOT_FOUND', facts: { key: 'nope' } });
    const id = await written({ audience: { funnel: 'niche-ebook' } });
    await api('patch', `broadcasts/${id}`, { audience: { funnel: 'niche-book' } }).expect(404);
    await api('patch', `broadcasts/${id}`, { title: 'Spring again' }).expect(200);
  });

  it('left nobody out, without a word, by a tag that was mistyped', async () => {
    const id = await written({ audience: { tags: { none: ['vipp', 'vip', 'quite another'] } } });
    expect(await warnings(id)).toEqual(
      expect.arrayContaining([
        'there is no tag “vipp”, so nobody has it; “vip” may be meant',
        'there is no tag “quite another”, so nobody has it',
      ]),
    );
    await api('patch', `broadcasts/${id}`, { audience: { tags: { none: ['vip'] } } }).expect(200);
    expect((await warnings(id)).filter((one) => one.startsWith('there is no tag'))).toEqual([]);
  });

  it('was told of a fault in a file where its own subject was wrong', async () => {
    const subject = 'Hello {{ subscriber.name';
    const { body } = await api('post', 'broadcasts', draft({ subject })).expect(422);
    expect(body).toMatchObject({ code: 'TEMPLATE_INVALID', errors: [{ field: 'subject' }] });
    expect(body.detail).toMatch(/^subject: “Hello \{\{ subscriber\.name”: output .* not closed$/);
    const split = { arms: [{}, { subject }], testPercent: 50, waitMinutes: 120, judge: 'clicks' };
    const ofArm = await api('post', 'broadcasts', draft({ split })).expect(422);
    expect(ofArm.body.detail).not.toContain('.mjml');
  });
});
