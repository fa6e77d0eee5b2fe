import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { FieldsService } from '../../../../src/subscribers/fields.service.js';
import { API_KEY } from '../../../support/app.js';
import { funnelText, openCourse, type Course } from '../course.js';

const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
const asks = (condition: string): string =>
  `- { key: pick, if: ${condition}, then: [${mail('yes')}], else: [${mail('no')}] }`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('fields that a sequence asks for', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const withFields = (fields: string, steps: string, more = ''): string =>
    `${funnelText(steps, more)}fields: ${fields}\n`;
  const apply = async (text: string): Promise<unknown> =>
    t.test.app.get(FunnelsService, { strict: false }).apply(text, null, 'course.yaml');
  const definitions = async (): Promise<Record<string, string>> => {
    const found = await t.test.app.get(FieldsService, { strict: false }).definitions();
    return Object.fromEntries([...found].map(([key, { type }]) => [key, type]));
  };

  it.each([
    ['an if', asks('{ field: contry, is: DE }'), '', 8, 'sequence.steps.0.if.field'],
    [
      'part of one',
      asks('{ any: [{ tag: a }, { field: contry, is: DE }] }'),
      '',
      8,
      'steps.0.if.any.1.field',
    ],
    [
      'a switch',
      `- { key: s, switch: [{ if: { tag: a } }, { if: { field: contry, is: DE }, then: [${mail('x')}] }] }`,
      ...['', 8, 'sequence.steps.0.switch.1.if.field'],
    ],
    ['a goal', `- { key: g, goal: { field: contry, is: DE } }`, '', 8, 'sequence.steps.0.goal.field'],
    ['what ends it', `- ${mail('x')}`, 'exitOn: [{ field: contry, is: DE }]', 6, 'sequence.exitOn.0.field'],
    ['what begins it', `- ${mail('x')}`, 'enterOn: [{ field: contry, is: DE }]', 6, 'enterOn.0.field'],
    ['a wait', `- ${mail('x', ', until: { field: contry }')}`, '', 8, 'sequence.steps.0.until.field'],
  ] as [string, string, string, number, string][])(
    'a name that nobody has defined is refused in %s, with its line and the name that was meant',
    async (_, steps, more, line, field) => {
      const refused = apply(funnelText(steps, more));
      await expect(refused).rejects.toThrow(`course.yaml:${line}: `);
      await expect(refused).rejects.toThrow(`${field}: there is no field "contry"; did you mean "country"?`);
      expect(await t.db.query(`select 1 from funnel where key = 'course'`)).toEqual([]);
    },
  );

  it('do not keep a version of then, which could do without their definition, from coming back', async () => {
    const asking = funnelText(asks('{ field: sandal, is: brown }'));
    await apply(withFields('{ sandal: text }', asks('{ field: sandal, is: brown }')));
    // As versions were before a field had to be defined.
    await t.db.query(`update funnel_version set definition = (definition::jsonb - 'fields')::json`);
    await apply(funnelText(`- ${mail('x')}`));
    await t.db.query(`delete from subscriber_field where key = 'sandal'`);
    await expect(apply(asking)).rejects.toThrow('there is no field "sandal"');
    const funnels = t.test.app.get(FunnelsService, { strict: false });
    expect(await funnels.rollback('course', { to: 1, dryRun: false, by: 'test' })).toMatchObject({ to: 1 });
  });

  it('may be filled by a step of the funnel, or of another one', async () => {
    await apply(funnelText(`- { key: fill, set: { mood: good } }\n${asks('{ field: mood, is: good }')}`));
    await apply(funnelText(asks('{ field: mood, is: bad }'), '', 'other'));
    await expect(apply(funnelText(asks('{ field: wood, is: bad }'), '', 'third'))).rejects.toThrow(
      'did you mean "mood"',
    );
  });

  it('are defined by the file that asks for them, in one go, and go along with its export', async () => {
    const file = withFields(
      '{ shoe: number, birthday: date, size: { type: choice, label: Size of shirt, choices: [S, M] } }',
      asks(
        '{ all: [{ field: shoe, over: 40 }, { field: size, oneOf: [S, M] }, { field: birthday, exists: true }] }',
      ),
    );
    await apply(file);
    expect(await definitions()).toMatchObject({ shoe: 'number', birthday: 'date', size: 'choice' });
    const exported = await t.test.app.get(FunnelsService, { strict: false }).export();
    await t.clear();
    await t.db.query(`delete from subscriber_field where key in ('shoe', 'birthday', 'size')`);
    await apply(exported);
    expect(await definitions()).toMatchObject({ shoe: 'number', birthday: 'date', size: 'choice' });
    expect(await t.test.app.get(FunnelsService, { strict: false }).export()).toBe(exported);
    await apply(file.replace('[S, M] } }', '[S, L] } }'));
    const rows = await t.db.query(`select label, choices from subscriber_field where key = 'size'`);
    expect(rows).toEqual([{ label: 'Size of shirt', choices: ['S', 'M', 'L'] }]);
    await expect(apply(file.replace('shoe: number', 'shoe: text'))).rejects.toThrow(
      'fields.shoe: the field shoe is there already, of type number',
    );
    await t.db.query(`delete from subscriber_field where key in ('shoe', 'birthday', 'size')`);
  });

  it('and that were defined elsewhere go along with an export, so that an empty database takes it', async () => {
    const funnels = t.test.app.get(FunnelsService, { strict: false });
    await apply(
      funnelText(`${asks('{ field: country, is: DE }')}\n- ${mail('x', ', until: { field: trialEnd }')}`),
    );
    const exported = await funnels.export();
    expect(exported).toContain('fields:\n  country: text\n  trialEnd: date\n');
    await t.clear();
    await t.db.query(`delete from subscriber_field where key in ('country', 'trialEnd')`);
    await apply(exported);
    expect(await funnels.export()).toBe(exported);
    expect(await definitions()).toMatchObject({ country: 'text', trialEnd: 'date' });
  });

  it.each([
    ['{ field: country, oneOf: [DE, AT] }', { country: 'AT' }, { country: 'CH' }],
    ['{ field: country, contains: land }', { country: 'Finland' }, { country: 'Peru' }],
    ['{ field: country, startsWith: fIN }', { country: 'Finland' }, { country: 'Iceland' }],
    ['{ field: level, atLeast: 3 }', { level: 3 }, { level: 2.9 }],
    ['{ field: level, atMost: 3 }', { level: 3 }, {}],
    ['{ field: trialEnd, before: 2026-02-01 }', { trialEnd: '2026-01-31' }, { trialEnd: '2026-02-01' }],
    ['{ field: trialEnd, before: 2026-02-01 }', { trialEnd: '2026-01-31' }, {}],
    ['{ field: trialEnd, after: 2026-02-01 }', { trialEnd: '2026-02-02' }, { trialEnd: '2026-02-01' }],
    ['{ field: trialEnd, withinDays: 3 }', { trialEnd: '2026-01-02' }, { trialEnd: '2026-01-01' }],
    ['{ field: trialEnd, withinDays: 3 }', { trialEnd: '2026-01-05' }, { trialEnd: '2026-01-06' }],
    ['{ field: trialEnd, inNextDays: 3 }', { trialEnd: '2026-01-08' }, { trialEnd: '2026-01-09' }],
    ['{ field: trialEnd, inNextDays: 3 }', { trialEnd: '2026-01-06' }, { trialEnd: '2026-01-05' }],
    ['{ not: { field: trialEnd, inNextDays: 3 } }', {}, { trialEnd: '2026-01-06' }],
    ['{ field: email, startsWith: YES@ }', {}, {}],
    ['{ field: emailDomain, is: Example.com }', {}, null],
    ['{ field: email, exists: true }', {}, null],
    ['{ not: { field: emailDomain, exists: false } }', {}, null],
    ['{ field: name, is: Reader }', {}, null],
  ] as [string, object, object | null][])('%s', async (condition, holding, other) => {
    await t.publish(asks(condition));
    const yes = await t.person('yes@example.com', { fields: { ...holding } });
    const no = other === null ? null : await t.person('no@example.com', { fields: { ...other } });
    for (const id of [yes, no]) if (id !== null) await t.enroll(id);
    await t.run();
    expect(await t.mails(yes)).toEqual(['yes']);
    if (no !== null) expect(await t.mails(no)).toEqual(['no']);
  });

  it('count days by the clock of the person, or of the sequence where theirs is not known', async () => {
    await t.publish(asks('{ field: trialEnd, withinDays: 1 }'), 'fallbackTimezone: Pacific/Auckland');
    t.clock.set('2026-01-05T20:00:00Z');
    const fields = { trialEnd: '2026-01-06' };
    const berlin = await t.person('berlin@example.com', { fields, timeZone: 'Europe/Berlin' });
    const auckland = await t.person('auckland@example.com', { fields, timeZone: 'Pacific/Auckland' });
    const unknown = await t.person('unknown@example.com', { fields });
    for (const id of [berlin, auckland, unknown]) await t.enroll(id);
    await t.run();
    expect(await Promise.all([berlin, auckland, unknown].map(async (id) => t.mails(id)))).toEqual([
      ['no'],
      ['yes'],
      ['yes'],
    ]);
  });

  it.each([
    ['oneOf: [gold, silver]', { country: 'gold' }],
    ['startsWith: go', { country: 'gold' }],
    ['contains: OL', { country: 'gold' }],
  ])('end a sequence and lead to a goal when they come to hold: %s', async (test, fields) => {
    await t.publish(
      `- { key: pause, wait: 9 days }\n- { key: there, goal: { field: country, ${test} } }\n- ${mail('after')}`,
    );
    await t.publish('- { key: pause, wait: 9 days }', `exitOn: [{ field: country, ${test} }]`, 'other');
    const id = await t.person('reader@example.com', { fields: { country: 'bronze' } });
    for (const key of ['course', 'other']) await t.enroll(id, key);
    await t.run();
    await t.test.http
      .patch(`/api/v1/subscribers/${id}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ fields })
      .expect(200);
    await t.run();
    expect(await t.mails(id)).toEqual(['after']);
    expect(await t.place(id, 'other')).toMatchObject({ status: 'exited', reason: 'field country' });
  });

  it('begin a sequence by one of several values, once, and not the sequence that had begun with another of them', async () => {
    await t.publish(`- ${mail('few')}`, 'enterOn: [{ field: country, oneOf: [DE] }]', 'few');
    await t.publish(
      `- ${mail('many')}`,
      'enterOn: [{ field: country, oneOf: [DE, AT] }]\nreentry: always',
      'many',
    );
    const id = await t.person('reader@example.com', { fields: { country: 'CH' } });
    const change = async (country: string): Promise<void> => {
      await t.test.http
        .patch(`/api/v1/subscribers/${id}`)
        .set('Authorization', `Bearer ${API_KEY}`)
        .send({ fields: { country } })
        .expect(200);
      await t.run();
    };
    await change('AT');
    expect(await t.mails(id)).toEqual(['many']);
    await change('DE');
    expect(await t.mails(id)).toEqual(['many', 'few']);
  });

  it.each([
    [
      asks('{ field: trialEnd, over: 10 }'),
      '',
      'if.over: the field trialEnd is of type date; ask it is, isNot, before',
    ],
    [
      asks('{ field: country, before: 2026-01-01 }'),
      '',
      'the field country is of type text; ask it is, isNot, oneOf',
    ],
    [
      asks('{ field: level, contains: "3" }'),
      '',
      'the field level is of type number; ask it is, isNot, over',
    ],
    [asks('{ field: level, is: high }'), '', 'if.is: the field level takes a number'],
    [asks('{ field: paid, over: 1 }'), '', 'the field paid is of type boolean; ask it is, isNot, exists'],
    [asks('{ field: trialEnd, is: soon }'), '', 'if.is: the field trialEnd takes a date such as'],
    [asks('{ field: trialEnd, before: soon }'), '', 'if.before: use a date such as 2026-01-31'],
    [asks('{ field: trialEnd, withinDays: 0 }'), '', 'if.withinDays: use at least 1 day'],
    [asks('{ field: trialEnd, inNextDays: 3, within: 2 days }'), '', 'inNextDays is not what is waited for'],
    [
      asks('{ all: [{ field: trialEnd, withinDays: 3 }], within: 2 days }'),
      '',
      'withinDays is not what is waited',
    ],
    [asks('{ field: locale, is: de, within: 2 days }'), '', 'a change of locale tells sequences nothing'],
    [`- ${mail('x')}`, 'exitOn: [{ field: locale, is: de }]', 'a change of locale tells sequences nothing'],
    [`- ${mail('x')}`, 'exitOn: [{ field: trialEnd, inNextDays: 3 }]', '"inNextDays" is not an option here'],
    [
      `- ${mail('x', ', until: { field: level }')}`,
      '',
      'the field level is of type number and holds no date',
    ],
    [`- { key: fill, set: { level: high } }`, '', 'set.level: the field level takes a number'],
    [`- { key: fill, set: { name: Ada } }`, '', "set.name: name is the person's own, and no field to set"],
    [asks('{ field: country, is: DE, oneOf: [DE] }'), '', 'needs exactly one of is, isNot, oneOf'],
    [asks('{ field: country, oneOf: [] }'), '', 'if.oneOf: name at least one'],
  ])('what a field of its type cannot be asked is refused at save: %s %s', async (steps, more, message) => {
    await expect(apply(funnelText(steps, more))).rejects.toThrow(message);
  });

  it.each([
    ['{ locale: text }', 'fields.locale: every subscriber has email'],
    ['{ size: choice }', 'use text, number, date, boolean, or { type: choice'],
    ['{ size: { type: choice } }', 'name the choices of a field of type choice'],
    ['{ size: { type: text, choices: [a] } }', 'name the choices of a field of type choice, and of no other'],
    ['{ size: { type: choice, choices: [a, A] } }', 'name each choice once'],
    ['{ Size: text }', 'name a field in camelCase'],
    ['{ size: { type: text, colour: red } }', '"colour" is not an option here'],
  ])('fields: %s is refused', async (fields, message) => {
    await expect(apply(withFields(fields, `- ${mail('x')}`))).rejects.toThrow(message);
  });
});
