import { afterAll, beforeAll, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

it('read every name of a table wrong for one letter that was no UTF-8, without a word', async () => {
  const api = (method: 'get' | 'post' | 'put', path: string) =>
    t.http[method](`/api/v1/imports${path}`).set('Authorization', `Bearer ${API_KEY}`);
  const table = Buffer.concat([
    Buffer.from('email,name\njose@example.com,José Łoś\n'),
    Buffer.from('zoe@example.com,Zoë Müller\n', 'latin1'),
    Buffer.from('ines@example.com,Inês\n'),
  ]);
  const { body } = await api('post', '').send({ fileName: 'shop.csv' }).expect(201);
  await api('put', `/${body.id}/file`).set('content-type', 'text/csv').send(table).expect(200);
  await t.app.get(JobRunner).run('imports.run');
  expect(await t.dataSource.query('select email, name from subscriber order by id')).toEqual([
    { email: 'jose@example.com', name: 'José Łoś' },
    { email: 'zoe@example.com', name: 'Zoë Müller' },
    { email: 'ines@example.com', name: 'Inês' },
  ]);
  expect((await api('get', `/${body.id}`)).body).toMatchObject({
    state: 'done',
    source: { encoding: 'utf-8' },
    advice: { mixedEncoding: 1 },
  });
});
