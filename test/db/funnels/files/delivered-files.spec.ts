import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FunnelFolders } from '../../../../src/funnels/export/funnel-folders.service.js';
import { FunnelsService, type FunnelPlan } from '../../../../src/funnels/funnels.service.js';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { API_KEY } from '../../../support/app.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';
import { empty } from '../../../support/database.js';

const YAML = funnelText('- { key: a, email: emails/story, delay: 1 day }').replace(
  '49.00 EUR }',
  '49.00 EUR, delivers: [files/kit.txt] }',
);

describe('the files that a funnel delivers', () => {
  let t: Course;
  let folder: string;
  beforeAll(async () => {
    t = await openCourse();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'delivered-'));
    await mkdir(join(folder, 'files'));
    await writeFile(join(folder, 'files', 'kit.txt'), 'The kit');
    await writeFile(join(folder, 'course.yaml'), YAML);
  });
  afterEach(async () => {
    await t.clear();
    await rm(folder, { recursive: true });
  });
  afterAll(async () => t?.test.close());

  const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
  const applyFolder = async (): Promise<FunnelPlan> => funnels().applyFile(join(folder, 'course.yaml'));
  const put = async (body: object): Promise<{ status: number; body: Record<string, unknown> }> => {
    const { status, body: answer } = await t.test.http
      .put('/api/v1/funnels/course')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send(body);
    return { status, body: answer as Record<string, unknown> };
  };
  const stored = (): string => join(t.test.app.get<Config>(CONFIG).dataDir, 'files');

  it.each([true, false])(
    'are asked for by plan as by apply, with their line: what nobody had stored was found at apply (dryRun %s)',
    async (dryRun) => {
      await t.db.query(`delete from stored_file where file_name = 'kit.txt'`);
      const answer = await put({ yaml: YAML, dryRun });
      expect(answer).toMatchObject({ status: 422, body: { code: 'FUNNEL_INVALID' } });
      expect(answer.body['detail']).toMatch(
        /yaml:10: products\.0\.delivers\.0: files\/kit\.txt did not come along, and none of that name is stored/,
      );
    },
  );

  it('are refused where their bytes are gone, by plan, apply and rollback, and come back from the folder though nothing changed', async () => {
    await applyFolder();
    await put({ yaml: YAML.replace('49.00', '59.00') });
    for (const name of await readdir(stored())) await rm(join(stored(), name));
    for (const dryRun of [true, false]) {
      const answer = await put({ yaml: YAML.replace('49.00', '39.00'), dryRun });
      expect(answer.body['detail']).toContain('the one that was stored is gone from DATA_DIR');
      await expect(funnels().rollback('course', { dryRun })).rejects.toThrow(
        'course version 1: products.0.delivers.0: files/kit.txt did not come along',
      );
    }
    await writeFile(join(folder, 'course.yaml'), YAML.replace('49.00', '59.00'));
    expect((await applyFolder()).words).toEqual([]);
    expect((await put({ yaml: YAML.replace('49.00', '39.00') })).status).toBe(200);
  });

  const send = async (name: string, bytes: string): Promise<string> => {
    const { body } = await t.test.http
      .post(`/api/v1/files?name=${name}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .set('Content-Type', 'application/octet-stream')
      .send(Buffer.from(bytes))
      .expect(201);
    return (body as { id: string }).id;
  };
  interface FilePage {
    data: { name: string; url: string }[];
    nextCursor: string | null;
  }
  const filesAt = async (query = ''): Promise<FilePage> => {
    const { body } = await t.test.http
      .get(`/api/v1/funnels/course/files${query}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    return body as FilePage;
  };
  const listed = async (): Promise<FilePage['data']> => (await filesAt()).data;
  const bytesOf = async (url: string): Promise<string> =>
    (await t.test.http.get(new URL(url).pathname).expect(200)).text;

  it('are sent by REST, planned, applied and replaced: a request could carry none', async () => {
    const first = await send('kit.txt', 'Sent kit');
    expect(await send('kit.txt', 'Sent kit')).toBe(first);
    await put({ yaml: YAML, files: { 'files/kit.txt': first } });
    const second = await send('kit.txt', 'Sent kit, once more');
    // Sent is not delivered: the funnel keeps its file until it is told.
    expect((await put({ yaml: YAML, dryRun: true })).body['words']).toEqual([]);
    const files = { 'files/kit.txt': second };
    const plan = await put({ yaml: YAML, files, dryRun: true });
    expect(plan.body['words']).toEqual(['~ file files/kit.txt: its content changed']);
    const stale = await put({ yaml: YAML, files: { 'files/kit.txt': first }, plan: plan.body['token'] });
    expect(stale.status).toBe(409);
    const done = await put({ yaml: YAML, files, plan: plan.body['token'] });
    expect(done.body['words']).toEqual(plan.body['words']);
    const [file] = await listed();
    expect(file).toMatchObject({ name: 'files/kit.txt', id: second, fileName: 'kit.txt' });
    expect(await bytesOf(file?.url ?? '')).toBe('Sent kit, once more');
  });

  it.each([
    [{ 'files/kitt.txt': '1' }, 'files.files/kitt.txt: no funnel here names this file'],
    [{ 'files/kit.txt': '99999' }, 'yaml:10: products.0.delivers.0: there is no stored file 99999'],
  ])('are refused over %j, and nothing changes', async (files, message) => {
    await applyFolder();
    const answer = await put({ yaml: YAML.replace('49.00', '39.00'), files });
    expect(answer.status).toBe(422);
    expect(answer.body['detail']).toContain(message);
    expect((await applyFolder()).words).toEqual([]);
  });

  it('are listed page by page, in the order of their names', async () => {
    const names = ['files/a.txt', 'files/kit.txt', 'files/z.txt'];
    for (const name of names) await writeFile(join(folder, name), name);
    await writeFile(
      join(folder, 'course.yaml'),
      YAML.replace('[files/kit.txt]', '[files/z.txt, files/kit.txt, files/a.txt]'),
    );
    await applyFolder();
    const one: { name: string }[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page = await filesAt(`?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`);
      one.push(...page.data);
      cursor = page.nextCursor;
    }
    expect(one.map(({ name }) => name)).toEqual(names);
    expect(one).toEqual(await listed());
  });

  it('go along with an export to a folder, and applied from there to an empty installation it is exported as the same bytes', async () => {
    await applyFolder();
    const folders = t.test.app.get(FunnelFolders, { strict: false });
    const paths = await folders.write(join(folder, 'out'), 'course', { withTexts: true });
    expect(paths).toEqual([join(folder, 'out', 'course', 'funnel.yaml')]);
    const exported = await funnels().export('course');
    await t.clear();
    await empty(t.db, 'funnel, sequence, offer, product, form');
    await t.db.query(`delete from stored_file where file_name = 'kit.txt'`);
    for (const name of await readdir(stored())) await rm(join(stored(), name));
    await funnels().applyFile(paths);
    expect(await funnels().export('course')).toBe(exported);
    expect(await bytesOf((await listed())[0]?.url ?? '')).toBe('The kit');
  });

  it('and several funnels go in one request, or none of them: REST took one at a time', async () => {
    const step = '- { key: a, email: emails/story, delay: 1 day }';
    const [one, two] = ['one', 'two'].map((key) =>
      funnelText(`${step}\n- { key: on, move: ${key === 'one' ? 'two' : 'one'} }`, '', key),
    );
    const all = async (body: object): Promise<{ status: number; body: Record<string, unknown> }> => {
      const { status, body: answer } = await t.test.http
        .put('/api/v1/funnels')
        .set('Authorization', `Bearer ${API_KEY}`)
        .send(body);
      return { status, body: answer as Record<string, unknown> };
    };
    const broken = await all({ yaml: `${one}---\n${two?.replace('form:', 'from:')}` });
    expect(broken.status).toBe(422);
    expect(broken.body['detail']).toMatch(/yaml:\d+: from: "from" is not an option here/);
    expect((await funnels().list()).map(({ key }) => key)).not.toContain('one');
    const yaml = `${one}---\n${two}`;
    const plan = await all({ yaml, dryRun: true });
    expect(plan).toMatchObject({ status: 200, body: { funnel: 'one, two', applied: false } });
    const done = await all({ yaml: `${two}---\n${one}`, plan: plan.body['token'] });
    expect(done).toMatchObject({ status: 200, body: { applied: true, words: plan.body['words'] } });
    expect(await all({ yaml, dryRun: true })).toMatchObject({ body: { words: [] } });
  });

  it.each(['.kit.txt', '-kit.txt', `${'k'.repeat(251)}.txt`])(
    'are sent by each name that a funnel may give them: the funnel took %s, and nobody could send it',
    async (name) => {
      const id = await send(name, 'The kit');
      const yaml = YAML.replace('kit.txt', name);
      expect((await put({ yaml, files: { [`files/${name}`]: id } })).status).toBe(200);
      expect((await listed()).map((one) => one.name)).toEqual([`files/${name}`]);
    },
  );

  it.each(['a..b.txt', '..', '.', 'files/kit.txt'])(
    'are not sent as %s, which no funnel can name',
    async (name) => {
      const sent = t.test.http
        .post('/api/v1/files')
        .query({ name })
        .set('Authorization', `Bearer ${API_KEY}`);
      const answer = await sent.set('Content-Type', 'application/octet-stream').send(Buffer.from('The kit'));
      expect(answer.status).toBe(422);
    },
  );
});
