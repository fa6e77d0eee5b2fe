import { Script } from 'node:vm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../src/funnels/funnels.service.js';
import { linkIn, startTestApp, type TestApp } from '../../support/app.js';

const FUNNEL = `funnel: podcast
title: Podcast
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
fields:
  gear: text
  budget: { type: number, label: Monthly budget }
  start: { type: date, label: First episode }
  goal: { type: choice, label: Your goal, choices: [fun, income] }
  calls: { type: boolean, label: Call me }
form:
  slug: podcast
  headline: A podcast with your phone
  consent: Send me the letters
  optIn: OPTIN
  fields:
    - gear
    - { field: goal, label: What is it for?, required: true }
    - budget
    - start
    - calls
sequence:
  steps:
    - key: ask
      if: { field: goal, is: income }
      then: [{ key: paid, email: emails/story }]
      else: [{ key: free, email: emails/nudge }]
`;

let t: TestApp;
let reader: string;
let count = 0;
beforeAll(async () => {
  t = await startTestApp();
  await apply('double');
});
afterAll(async () => t.close());
beforeEach(() => {
  reader = `reader${++count}@example.com`;
});

const apply = (optIn: string) =>
  t.app.get(FunnelsService, { strict: false }).apply(FUNNEL.replace('OPTIN', optIn), null, 'podcast.yaml');
const signUp = (answers: object) =>
  t.http
    .post('/p/podcast')
    .type('form')
    .send({ email: reader, ...answers });
const fieldsOf = async (email: string): Promise<unknown> => {
  const rows: { fields: unknown }[] = await t.dataSource.query(
    'select fields from subscriber where email_key = $1',
    [email],
  );
  return rows[0]?.fields;
};
const confirm = async (): Promise<void> => {
  await t.runDue();
  const mail = (await t.mailsTo(reader)).findLast(({ html }) => html.includes('/confirm/'));
  if (!mail) throw new Error('no mail asks for a confirmation');
  await t.http.post(linkIn(mail, /\/confirm\//)).expect(200);
};

describe('a form that asks for own fields', () => {
  it('shows each with an input of its type', async () => {
    const { text } = await t.http.get('/p/podcast').expect(200);
    for (const part of [
      /<label for="field-gear">gear <span class="optional">/,
      /<label for="field-goal">What is it for\?<\/label>\s*<select id="field-goal" name="fields.goal" required>/,
      /<option>income<\/option>/,
      /name="fields.budget"[^>]*inputmode="decimal"/,
      /name="fields.start"[^>]*type="date"/,
      /name="fields.calls" type="checkbox"/,
    ])
      expect(text).toMatch(part);
  });

  it('keeps the answers until the address is confirmed; then they are the person’s, and branches know them', async () => {
    await signUp({
      'fields.gear': ' A phone ',
      'fields.goal': 'income',
      'fields.budget': '12.5',
      'fields.start': '2026-02-01',
      'fields.calls': ['no', 'yes'],
    }).expect(200);
    expect(await fieldsOf(reader)).toEqual({});
    await confirm();
    expect(await fieldsOf(reader)).toEqual({
      ...{ gear: 'A phone', goal: 'income', budget: 12.5, start: '2026-02-01', calls: true },
    });
    await t.runDue();
    const sent: unknown[] = await t.dataSource.query(
      `select step_key as step from message where address = $1 and kind = 'sequence'`,
      [reader],
    );
    expect(sent).toEqual([{ step: 'paid' }]);
    const left: unknown[] = await t.dataSource.query('select 1 from signup where answers is not null');
    expect(left).toEqual([]);
  });

  it('counts a box without a tick as no, and what is left empty as no answer', async () => {
    await signUp({ 'fields.gear': '', 'fields.goal': 'FUN', 'fields.calls': 'no' }).expect(200);
    await confirm();
    expect(await fieldsOf(reader)).toEqual({ goal: 'fun', calls: false });
  });

  it('says beside each what is wrong, keeps what was typed, and stores nothing', async () => {
    const { text } = await signUp({
      'fields.gear': '<b>',
      'fields.budget': '1,5',
      'fields.start': '2026-02-30',
    }).expect(422);
    expect(text).toContain('What is it for? Please fill this in.');
    expect(text).toContain('Monthly budget: please use a number such as 12.5.');
    expect(text).toContain('First episode: please use a date such as 2026-01-31.');
    expect(text).toMatch(/name="fields.gear"[^>]*value="&lt;b&gt;"/);
    expect(text).toMatch(/<li><a href="#field-goal">/);
    expect(await fieldsOf(reader)).toBeUndefined();
  });

  it('lets no stranger who types an address change what is known: the answers wait for the mail’s button', async () => {
    await signUp({ 'fields.goal': 'fun', 'fields.gear': 'mine' }).expect(200);
    await confirm();
    t.clock.advance(2 * 86_400_000);
    await signUp({ 'fields.goal': 'income', 'fields.gear': 'a stranger’s' }).expect(200);
    expect(await fieldsOf(reader)).toMatchObject({ goal: 'fun', gear: 'mine' });
    await confirm();
    expect(await fieldsOf(reader)).toMatchObject({ goal: 'income', gear: 'a stranger’s' });
  });

  it('takes answers as JSON from other sites, and names what is wrong', async () => {
    const send = (fields: object) => t.http.post('/api/public/forms/podcast').send({ email: reader, fields });
    const wrong = await send({ budget: 'much', goal: 'fame' }).expect(422);
    expect(wrong.body.errors).toEqual([
      { field: 'fields.goal', message: 'What is it for? Please use one of fun, income.' },
      { field: 'fields.budget', message: 'Monthly budget: please use a number such as 12.5.' },
    ]);
    // What the form does not ask, any more, is left out: the page may have been open for a while.
    await send({ goal: 'fun', budget: 20, calls: false, shoe: 42 }).expect(202);
    await confirm();
    expect(await fieldsOf(reader)).toEqual({ goal: 'fun', budget: 20, calls: false });
  });

  it('asks the same on other sites', async () => {
    const { text } = await t.http.get('/f/podcast.js').expect(200);
    expect(() => new Script(text)).not.toThrow();
    expect(text).toContain(
      '"key":"goal","label":"What is it for?","type":"choice","choices":["fun","income"],"required":true',
    );
  });

  it('holds its fields: none is removed while a form asks for it', async () => {
    const [field]: { id: string }[] = await t.dataSource.query(
      `select id from subscriber_field where key = 'gear'`,
    );
    const refused = await t.http
      .delete(`/api/v1/fields/${field?.id}`)
      .set('authorization', 'Bearer test-key-of-sixteen-or-more')
      .expect(409);
    expect(refused.body.detail).toContain('the form "podcast"');
  });

  it('drops an answer that waits when its field is made anew with another type: it came back with the old value', async () => {
    await signUp({ 'fields.goal': 'fun', 'fields.gear': 'a phone', 'fields.budget': '3' }).expect(200);
    await t.dataSource.query(`update subscriber_field set type = 'number' where key = 'gear'`);
    await confirm();
    await t.dataSource.query(`update subscriber_field set type = 'text' where key = 'gear'`);
    expect(await fieldsOf(reader)).toEqual({ goal: 'fun', budget: 3 });
  });

  it('is refused when it asks for a field that nobody has defined, or for what everybody has', async () => {
    const refused = async (asked: string): Promise<string> =>
      t.app
        .get(FunnelsService, { strict: false })
        .apply(FUNNEL.replace('OPTIN', 'double').replace('- gear', `- ${asked}`), null, 'podcast.yaml')
        .then(
          () => 'applied',
          (error: unknown) => String(error),
        );
    expect(await refused('gaer')).toMatch(/podcast\.yaml:16: form\.fields\.0: .*did you mean "gear"/);
    expect(await refused('name')).toMatch(/podcast\.yaml:16: form\.fields\.0: name is the person's own/);
    expect(await refused('{ field: goal }')).toMatch(/form\.fields: ask for each field once/);
  });
});

describe('a form of single opt-in that asks for own fields', () => {
  beforeAll(async () => {
    await apply('single');
  });

  it('takes the answers of somebody new at once', async () => {
    await signUp({ 'fields.goal': 'income' }).expect(200);
    expect(await fieldsOf(reader)).toMatchObject({ goal: 'income' });
  });

  it('fills gaps of somebody known, and changes nothing, as it may be a stranger who types', async () => {
    await t.dataSource.query(
      `insert into subscriber (email, email_key, status, fields, created_at, updated_at) values ($1, $1, 'active', '{"goal": "fun"}', now(), now())`,
      [reader],
    );
    await signUp({ 'fields.goal': 'income', 'fields.gear': 'a phone' }).expect(200);
    expect(await fieldsOf(reader)).toMatchObject({ goal: 'fun', gear: 'a phone' });
  });
});
