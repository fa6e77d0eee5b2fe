import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ImportJson } from '../../../src/imports/imports.schemas.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { newReader, type Reader } from '../../support/reader.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const api = (method: 'get' | 'post' | 'patch', path: string) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const moved = async (from: string, to: string): Promise<Reader> => {
  const reader = await newReader(t, from);
  await api('patch', `subscribers/${reader.id}`).send({ email: to }).expect(200);
  return reader;
};
const countsOf = async (csv: string, options: object): Promise<Record<string, number>> => {
  const { body } = await api('post', 'imports').send({ dryRun: false, options, csv }).expect(201);
  await t.app.get(JobRunner).run('imports.run');
  const { counts } = (await api('get', `imports/${body.id}`).expect(200)).body as ImportJson;
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
};
const ACTIVE = { status: 'active', consentText: 'Yes.' };

describe('a table with the address that somebody had before', () => {
  it('does not bring back who has left or complained under another one', async () => {
    const left = await moved('left-old@example.com', 'left-new@example.com');
    await t.dataSource.query(`update subscriber set status = 'unsubscribed' where id = $1`, [left.id]);
    const angry = await moved('angry-old@example.com', 'angry-new@example.com');
    await t.dataSource.query(`update subscriber set status = 'complained' where id = $1`, [angry.id]);
    const csv = 'email\nleft-old@example.com\nANGRY-old@example.com\nnew-to-us@example.com\n';
    expect(await countsOf(csv, ACTIVE)).toMatchObject({ created: 1, suppressed: 2 });
    const people = await t.dataSource.query(`select email from subscriber where email like '%-old@%'`);
    expect(people).toEqual([]);
  });

  it('does not make a second person, with every mail twice, of who has taken another one themselves', async () => {
    const reader = await newReader(t, 'two-of-me@example.com');
    await t.http
      .post(`${reader.preferences}/address`)
      .type('form')
      .send({ email: 'one-of-me@example.com' })
      .expect(200);
    await t.runDue();
    const [asked] = await t.mailsTo('one-of-me@example.com');
    await t.http.post(linkIn(asked as TestMail, /\/new-address\//)).expect(200);
    expect(await countsOf('email\ntwo-of-me@example.com\n', ACTIVE)).toEqual({ skipped: 1 });
    // An address that the sender has corrected may be that of somebody else.
    await moved('mistyped@example.com', 'corrected@example.com');
    expect(await countsOf('email\nmistyped@example.com\n', ACTIVE)).toEqual({ created: 1 });
  });
});
