import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService, type FunnelPlan } from '../../../../src/funnels/funnels.service.js';
import { FieldsService } from '../../../../src/subscribers/fields.service.js';
import { gate, untilWaiting } from '../../../support/database.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';

const STEP = '- { key: a, email: emails/story, delay: 1 day }';
const bringing = (fields: string, more = ''): string =>
  funnelText(STEP, more).replace('sender:', `fields: ${fields}\nsender:`);

describe('the own fields that a funnel brings', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterEach(async () => {
    await t.clear();
    await t.db.query(`delete from subscriber_field where key in ('size', 'colour')`);
  });
  afterAll(async () => t?.test.close());

  const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
  const fields = (): FieldsService => t.test.app.get(FieldsService, { strict: false });
  const plan = async (yaml: string): Promise<string[]> =>
    (await funnels().plan(yaml, null, 'course.yaml')).words;
  const apply = async (yaml: string): Promise<FunnelPlan> => funnels().apply(yaml, null, 'course.yaml');
  const size = async (): Promise<{ id: string; label: string; choices: string[] } | undefined> => {
    const rows: { id: string; label: string; choices: string[] }[] = await t.db.query(
      `select id, label, choices from subscriber_field where key = 'size'`,
    );
    return rows[0];
  };

  it('and those that its export adds are no change: each plan of an export showed them', async () => {
    await fields().create({ key: 'colour', label: 'Colour', type: 'choice', choices: ['red', 'blue'] });
    await apply(funnelText(STEP, 'exitOn: [{ field: colour, is: red }, { field: level, over: 3 }]'));
    const exported = await funnels().export('course');
    expect(exported).toContain('choices:');
    expect(await plan(exported)).toEqual([]);
    expect((await apply(exported)).words).toEqual([]);
    expect(await funnels().export('course')).toBe(exported);
  });

  it('take the label that the file gives, in the plan and when it is applied: it stayed as it was', async () => {
    await apply(bringing('{ size: { type: text, label: Size } }'));
    const words = [
      '~ funnel course: fields.size {"type":"text","label":"Size"} → {"type":"text","label":"Shoe size"}',
      '~ field size: label Size → Shoe size',
    ];
    const yaml = bringing('{ size: { type: text, label: Shoe size } }');
    expect(await plan(yaml)).toEqual(words);
    expect(await size()).toMatchObject({ label: 'Size' });
    expect((await apply(yaml)).words).toEqual(words);
    expect(await size()).toMatchObject({ label: 'Shoe size' });
    await fields().update((await size())?.id ?? '', { label: 'Another' });
    expect(await plan(yaml)).toEqual(['~ field size: label Another → Shoe size']);
    // A file without a label leaves it to the owner.
    expect(await plan(bringing('{ size: text }'))).toEqual([
      '~ funnel course: fields.size {"type":"text","label":"Shoe size"} → text',
    ]);
  });

  it('have one label: of two funnels that gave a field another, each apply took back that of the one before', async () => {
    const labelled = (label: string, key?: string): string =>
      funnelText(STEP, '', key).replace(
        'sender:',
        `fields: { size: { type: text, label: ${label} } }\nsender:`,
      );
    await apply(labelled('Size'));
    const message =
      'the funnel "course" gives the field size the label "Size"; give it the same here, leave the label out, or change it in the file of "course", too, and apply the two together';
    await expect(apply(labelled('Shoe size', 'second'))).rejects.toMatchObject({
      code: 'FUNNEL_INVALID',
      facts: { problems: [expect.objectContaining({ field: 'fields.size.label', message })] },
    });
    await apply(labelled('Size', 'second'));
    expect(await plan(labelled('Size'))).toEqual([]);
    await apply(bringing('{ size: text }'));
    expect(await plan(labelled('Size', 'second'))).toEqual([]);
  });

  it('keep their label where two funnels gave it another before that was refused, and the files go on: none could be applied', async () => {
    const labelled = (label: string, key?: string, more = ''): string =>
      funnelText(STEP, more, key).replace(
        'sender:',
        `fields: { size: { type: text, label: ${label} } }\nsender:`,
      );
    await apply(labelled('Size'));
    await apply(labelled('Size', 'second'));
    await t.db.query(
      `update funnel set definition = jsonb_set(definition::jsonb, '{definition,fields,size,label}', '"Shoe size"') where key = 'second'`,
    );
    for (const yaml of [labelled('Size'), labelled('Shoe size', 'second')])
      expect(await plan(yaml)).toEqual([]);
    const { words } = await apply(labelled('Shoe size', 'second', 'exitOn: [{ tag: done }]'));
    expect(words.filter((line) => line.includes('label'))).toEqual([]);
    expect(await size()).toMatchObject({ label: 'Size' });
    await apply(labelled('Size', 'second'));
    await expect(apply(labelled('Shoe size', 'second'))).rejects.toMatchObject({ code: 'FUNNEL_INVALID' });
  });

  it('are made again when they were removed elsewhere, though the funnel is as it was, and no version comes of it', async () => {
    const yaml = bringing('{ size: { type: choice, choices: [small] } }');
    await apply(yaml);
    await fields().remove((await size())?.id ?? '');
    expect(await plan(yaml)).toEqual(['+ field size: choice']);
    const { token } = await funnels().plan(yaml, null, 'course.yaml');
    expect(token).not.toBe((await funnels().plan(funnelText(STEP), null, 'course.yaml')).token);
    expect((await apply(yaml)).words).toEqual(['+ field size: choice']);
    expect(await size()).toMatchObject({ choices: ['small'] });
    expect(await plan(yaml)).toEqual([]);
    expect(await funnels().history('course', { limit: 9 })).toHaveLength(1);
  });

  it('have no choices that differ by their case alone, which no file could name: they were merged', async () => {
    await fields().create({ key: 'size', label: 'Size', type: 'choice', choices: ['Small'] });
    await expect(apply(bringing('{ size: { type: choice, choices: [Large, small] } }'))).rejects.toThrow(
      'course.yaml:3: fields.size.choices.1: the field size has the choice Small already; write it so',
    );
    expect(await size()).toMatchObject({ choices: ['Small'] });
    const { words } = await apply(bringing('{ size: { type: choice, choices: [Large, Small] } }'));
    expect(words).toContain('~ field size: choices more: Large');
    expect(await plan(await funnels().export('course'))).toEqual([]);
  });

  it('go back to a version that wrote a choice in another case: the rollback was refused for ever', async () => {
    await apply(bringing('{ size: { type: choice, choices: [small] } }'));
    await apply(funnelText(STEP));
    await fields().remove((await size())?.id ?? '');
    await fields().create({ key: 'size', label: 'Size', type: 'choice', choices: ['Small'] });
    const back = await funnels().rollback('course', { to: 1, dryRun: false });
    expect(back.words.filter((line) => line.includes('choices more'))).toEqual([]);
    expect(await size()).toMatchObject({ choices: ['Small'] });
  });

  it('are refused when somebody defines one as another type meanwhile: the funnel was applied without its field', async () => {
    // Reading the version that is there comes behind the look at the fields.
    await apply(funnelText(STEP));
    const held = await gate(t.db, 'lock table funnel in access exclusive mode');
    const applied = apply(bringing('{ size: text }')).then(
      () => 'applied',
      (error: unknown) => String(error),
    );
    await untilWaiting(t.db, 1);
    await held.query(
      `insert into subscriber_field (key, label, type, choices, created_at) values ('size', 'Size', 'number', '[]', now())`,
    );
    await held.open();
    expect(await applied).toMatch(/fields\.size: the field (size )?is there already, of type number/);
    expect(await plan(funnelText(STEP))).toEqual([]);
  });
});
