import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { parsePlanTokens } from '../../../../src/funnels/changes/plan-token.js';
import { EVERY_KEY, OTHER_FUNNEL } from '../../../support/every-key.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';
import { empty } from '../../../support/database.js';

describe('a funnel that is exported', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const mail = (key: string): string => `- { key: ${key}, email: emails/story, delay: 1 day }`;

  it('is applied to an empty database and exported again as the same bytes, every option of it', async () => {
    const funnels = t.test.app.get(FunnelsService, { strict: false });
    // A request carries no files.
    const everyKey = EVERY_KEY.replace('{ file: files/thanks.liquid }', 'Thank you, {{ order.number }}');
    const apply = async (yaml: string): Promise<unknown> => funnels.apply(yaml, null, 'funnel.yaml');
    await t.db.query(
      `insert into stored_file (sha256, file_name, content_type, size_bytes, created_at)
       select sha256, 'every.zip', content_type, size_bytes, created_at from stored_file limit 1`,
    );
    await empty(t.db, 'affiliate');
    await apply(OTHER_FUNNEL);
    await apply(everyKey);
    const exported = await funnels.export();
    await t.clear();
    await empty(t.db, 'funnel, sequence, offer, product, form, email_template, subscriber_field');
    expect(await funnels.export()).toBe('');
    for (const yaml of exported.split(/^---\n/m)) await apply(yaml);
    expect(await funnels.export()).toBe(exported);
    expect((await funnels.plan(everyKey, null, 'funnel.yaml')).changes).toEqual([]);
  });

  it('brings the fields that its form asks for: a database that knew none of them refused the file', async () => {
    const funnels = t.test.app.get(FunnelsService, { strict: false });
    const body = { key: 'shoe', label: 'Shoe size', type: 'choice', choices: ['small', 'large'] };
    expect((await t.post('/api/v1/fields', body)).status).toBe(201);
    const yaml = funnelText(mail('a')).replace('consent: Send it to me', 'consent: Yes, fields: [shoe]');
    await funnels.apply(yaml, null, 'course.yaml');
    const exported = await funnels.export('course');
    await t.clear();
    await empty(t.db, 'funnel, sequence, offer, product, form, subscriber_field');
    await funnels.apply(exported, null, 'course.yaml');
    expect(await funnels.export('course')).toBe(exported);
  });

  it('goes with the others that it leads to and that lead back, and applied from that one file: in no order could they go one by one', async () => {
    const funnels = t.test.app.get(FunnelsService, { strict: false });
    const folder = await mkdtemp(join(tmpdir(), 'funnels-'));
    const file = join(folder, 'all.yaml');
    const write = async (yaml: string): Promise<void> => writeFile(file, yaml);
    const one = funnelText(`${mail('a')}\n- { key: on, move: two }`, '', 'one');
    const two = funnelText(`${mail('b')}\n- { key: back, move: one }`, '', 'two');
    await write(`# All of them.\n---\n${one}--- # The other.\n${two}`);
    const plan = await funnels.planFile(file);
    expect(plan.words.filter((line) => /funnel|step/.test(line))).toEqual([
      ...['funnel one:', '+ funnel one', '+ step a', '+ step on'],
      ...['funnel two:', '+ funnel two', '+ step b', '+ step back'],
    ]);
    const tokens = parsePlanTokens(plan.token) ?? [];
    await expect(funnels.applyFile(file, { tokens: tokens.slice(1) })).rejects.toThrow(
      '1 funnels were planned',
    );
    await write(`${one}---\n${two.replace('slug: two', 'slug: one')}`);
    await expect(funnels.applyFile(file)).rejects.toThrow(
      `all.yaml:18: form.slug: the form "one" belongs to`,
    );
    await write(`${one}---\n${two.replace('A course', 'Another')}`);
    await expect(funnels.applyFile(file, { tokens })).rejects.toThrow('is not the one that was planned');
    expect(await funnels.export()).toBe('');
    await write(`${one}---\n${two}`);
    expect((await funnels.applyFile(file, { tokens })).words).toEqual(plan.words);
    const exported = await funnels.export();
    await t.clear();
    await empty(t.db, 'funnel, sequence, offer, product, form');
    await write(exported);
    await funnels.applyFile(file);
    expect(await funnels.export()).toBe(exported);
    expect((await funnels.planFile(file)).words).toEqual([]);
    await rm(folder, { recursive: true });
  });
});
