import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FunnelsService, type FunnelPlan } from '../../../src/funnels/funnels.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { API_KEY } from '../../support/app.js';
import { funnelText, openCourse, type Course } from '../sequences/course.js';

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
});
