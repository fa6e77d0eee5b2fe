import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { holdFunnels } from '../../../../src/infra/database/funnel-lock.js';
import { FilesService } from '../../../../src/infra/files/files.service.js';
import { FieldsService } from '../../../../src/subscribers/fields.service.js';
import { gate, untilWaiting } from '../../../support/database.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';

const STEP = '- { key: a, email: emails/story, delay: 1 day }';
const withFields = (yaml: string, fields: string): string =>
  yaml.replace('sender:', `fields: ${fields}\nsender:`);

describe('funnels that are applied at the same time', () => {
  let t: Course;
  let folder: string;
  beforeAll(async () => {
    t = await openCourse();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'at-once-'));
    await mkdir(join(folder, 'files'));
  });
  afterEach(async () => {
    await t.clear();
    await rm(folder, { recursive: true });
  });
  afterAll(async () => t?.test.close());

  const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
  const apply = async (key: string, yaml: string): Promise<string> => {
    await writeFile(join(folder, `${key}.yaml`), yaml);
    return funnels()
      .applyFile(join(folder, `${key}.yaml`))
      .then(
        () => 'applied',
        (error: unknown) => String(error),
      );
  };
  /** Both are read and asked for before either may begin. */
  const together = async (first: Record<string, string>): Promise<string[]> => {
    const held = await gate(t.db, 'select 1');
    await holdFunnels(held);
    const under: Promise<string>[] = [];
    for (const [key, yaml] of Object.entries(first)) {
      under.push(apply(key, yaml));
      await untilWaiting(t.db, under.length);
    }
    await held.open();
    return Promise.all(under);
  };

  it('are judged by what the one before has made: the second was refused without file, line and field', async () => {
    const b = funnelText(STEP, '', 'b').replaceAll('b-kit', 'a-kit');
    const [first, second] = await together({ a: funnelText(STEP, '', 'a'), b });
    expect(first).toBe('applied');
    expect(second).toMatch(/b\.yaml:\d+: products\.0\.key: the product "a-kit" belongs to the funnel "a"/);
    expect(second).toMatch(/b\.yaml:\d+: offers\.0\.key: the offer "a-kit" belongs to the funnel "a"/);
    expect(await t.db.query(`select 1 from funnel where key = 'b'`)).toEqual([]);
  });

  it('do not define one field as two types: the type of the second was passed over in silence', async () => {
    const [first, second] = await together({
      a: withFields(funnelText(STEP, '', 'a'), '{ size: number }'),
      b: withFields(funnelText(STEP, '', 'b'), '{ size: text }'),
    });
    expect(first).toBe('applied');
    expect(second).toMatch(/b\.yaml:\d+: fields\.size: the field size is there already, of type number/);
  });

  it('keep the field that they ask for: it could be removed while the funnel was written', async () => {
    const fields = t.test.app.get(FieldsService, { strict: false });
    const { id } = await fields.create({ key: 'colour', label: 'Colour', type: 'text', choices: [] });
    await apply('a', funnelText(STEP, '', 'a'));
    const held = await gate(t.db, `select 1 from form where slug = 'a' for update`);
    const exit = 'exitOn: [{ field: colour, is: red }]';
    const applied = apply('a', funnelText(STEP, exit, 'a'));
    await untilWaiting(t.db, 1);
    const removed = fields.remove(id).then(
      () => 'removed',
      (error: unknown) => String(error),
    );
    await untilWaiting(t.db, 2, removed);
    await held.open();
    expect(await applied).toBe('applied');
    expect(await removed).toContain('The field "colour" is used by the sequence "A course"');
  });

  it('let nobody wait for a plan without an end, which held a connection from all others: who plans is told', async () => {
    const yaml = funnelText(STEP, '', 'a');
    await apply('a', yaml);
    const held = await gate(t.db, `select 1 from form where slug = 'a' for update`);
    const changed = funnelText(`${STEP}\n- { key: b, email: emails/story }`, '', 'a').replace(
      'Get it',
      'Take it',
    );
    const applied = apply('a', changed);
    await untilWaiting(t.db, 1, applied);
    const planned = funnels()
      .plan(yaml, null, 'a.yaml', { patienceMs: 1 })
      .then(
        () => 'planned',
        (error: unknown) => String(error),
      );
    await untilWaiting(t.db, 3, planned).catch(() => undefined);
    await held.open();
    expect(await planned).toContain('another change of funnels is being looked at or applied; plan again');
    expect(await applied).toBe('applied');
    expect((await funnels().plan(changed, null, 'a.yaml')).words).toEqual([]);
  });

  it('store a file under the hash of what was stored: it could be another when the file was written over meanwhile', async () => {
    const file = join(folder, 'files', 'kit.txt');
    const yaml = funnelText(STEP, '', 'a').replace('49.00 EUR }', '49.00 EUR, delivers: [files/kit.txt] }');
    await writeFile(file, 'The first kit');
    expect(await apply('a', yaml)).toBe('applied');
    await writeFile(file, 'The second kit');
    // Reading the version that is there comes before the files are stored, and came behind their hashes.
    const held = await gate(t.db, 'lock table funnel_version in access exclusive mode');
    const applied = apply('a', yaml);
    await untilWaiting(t.db, 1);
    await writeFile(file, 'The third kit');
    await held.open();
    expect(await applied).toBe('applied');
    const rows: { hash: string; id: string }[] = await t.db.query(
      `select f.definition -> 'sources' ->> 'files/kit.txt' as hash, v.parts -> 'files' ->> 'files/kit.txt' as id
       from funnel_version v join funnel f on f.id = v.funnel_id where f.key = 'a' order by v.version desc limit 1`,
    );
    const stored = await t.test.app.get(FilesService).get(t.db.manager, rows[0]?.id ?? '');
    expect(stored).toMatchObject({ sha256: rows[0]?.hash, sizeBytes: 'The third kit'.length });
    expect(await apply('a', yaml)).toBe('applied');
    expect((await funnels().planFile(join(folder, 'a.yaml'))).words).toEqual([]);
  });
});
