import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { newReader, preferencesForm } from '../../support/reader.js';
import { type OwnerPages, ownerPages, plain } from '../../support/owner-pages.js';

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  owner = await ownerPages(t);
});
afterAll(async () => t.close());

const api = {
  get: async (path: string) =>
    (await t.http.get(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).expect(200)).body,
  send: (method: 'post' | 'patch' | 'delete', path: string, body: object = {}) =>
    t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body),
};
async function somebody(email: string, more: object = {}): Promise<string> {
  const { body } = await api.send('post', 'subscribers', { email, ...more }).expect(201);
  return String(body.id);
}
const idIn = (html: string, of: string, name: string): string =>
  new RegExp(`href="/admin/${of}/(\\d+)">${name}<`).exec(html)?.[1] ?? '';
const form = (fields: [string, string][]): string => new URLSearchParams(fields).toString();
/** The form of a person as a browser sends it back, with some of it typed over. */
async function personForm(id: string, typed: Record<string, string>): Promise<[string, string][]> {
  const html = await owner.get(`/admin/subscribers/${id}/edit`);
  const fields: [string, string][] = [...html.matchAll(/<input [^>]*?name="([^"]+)" value="([^"]*)"[^>]*>/g)]
    .filter(([all]) => !all.includes('type="checkbox"') || all.includes(' checked'))
    .map(([, name = '', value = '']) => [name, plain(value)]);
  for (const [, name = '', options = ''] of html.matchAll(
    /<select [^>]*name="([^"]+)"[^>]*>([\s\S]*?)<\/select>/g,
  ))
    fields.push([name, plain(/value="([^"]*)" selected/.exec(options)?.[1] ?? '')]);
  return [...fields.filter(([name]) => !(name in typed)), ...Object.entries(typed)];
}
const sendPerson = (id: string, fields: [string, string][]) =>
  t.http.post(`/admin/subscribers/${id}/edit`).set('Cookie', owner.cookie).type('form').send(form(fields));

describe('the pages of own fields', () => {
  it('make a field of a label, refuse what cannot be at its field, and keep what was typed', async () => {
    expect(await owner.get('/admin/fields')).toContain('No field of your own yet.');
    const nothing = await owner
      .post('/admin/fields', { label: '', type: 'choice', choices: 'S\n s' })
      .expect(422);
    expect(nothing.text).toContain('<a href="#label">Label: ');
    expect(nothing.text).toContain('id="choices-error"');
    expect(nothing.text).toMatch(/<textarea id="choices"[^>]*>\nS\n s<\/textarea>/);
    await owner.post('/admin/fields', { label: 'Größe', type: 'choice', choices: 'S\nM\n' }).expect(303);
    await owner.post('/admin/fields', { label: 'Shoe size', type: 'number' }).expect(303);
    const twice = await owner.post('/admin/fields', { label: 'Shoe size', type: 'text' }).expect(422);
    expect(plain(twice.text)).toContain('there is a field "shoeSize"');
    const column = await owner
      .post('/admin/fields', { label: 'Mail', key: 'email', type: 'text' })
      .expect(422);
    expect(column.text).toContain('<a href="#key">Key: every subscriber has email');
    const { data } = await api.get('fields');
    expect(
      data.map(({ key, label, type, choices }: Record<string, unknown>) => ({ key, label, type, choices })),
    ).toEqual([
      { key: 'shoeSize', label: 'Shoe size', type: 'number', choices: [] },
      { key: 'grosse', label: 'Größe', type: 'choice', choices: ['S', 'M'] },
    ]);
  });

  it('give a field another label and more choices, and never take a choice away', async () => {
    const id = idIn(await owner.get('/admin/fields'), 'fields', 'Größe');
    const less = await owner.post(`/admin/fields/${id}`, { label: 'Größe', choices: 'M' }).expect(422);
    expect(less.text).toContain('<a href="#choices">Choices: keep S, people may have it</a>');
    await owner.post(`/admin/fields/${id}`, { label: 'Kleidergröße', choices: 'S\nM\nL' }).expect(303);
    expect(await api.get(`fields/${id}`)).toMatchObject({ label: 'Kleidergröße', choices: ['S', 'M', 'L'] });
  });

  it('name who uses a field, and remove it with what people have in it once nobody does', async () => {
    const ada = await somebody('ada@example.com', { fields: { shoeSize: 39 } });
    const id = idIn(await owner.get('/admin/fields'), 'fields', 'Shoe size');
    expect(await owner.get(`/admin/fields/${id}/count`)).toBe('{"count":1}');
    const conditions = { field: 'shoeSize', op: 'above', value: 38 };
    const segment = (
      await api.send('post', 'segments', { key: 'big', title: 'Big feet', conditions }).expect(201)
    ).body;
    const page = await owner.get(`/admin/fields/${id}`);
    expect(page).toContain('1 person has a value in it.');
    expect(page).toMatch(/segment<\/span> Big feet/);
    expect(page).not.toContain('Remove this field');
    const refused = await owner.post(`/admin/fields/${id}/remove`, {}).expect(409);
    expect(plain(refused.text)).toContain('The field "shoeSize" is used by the segment "Big feet"');
    await api.send('delete', `segments/${segment.id}`).expect(204);
    expect(await owner.get(`/admin/fields/${id}`)).toContain('what 1 person has in it');
    await owner.post(`/admin/fields/${id}/remove`, {}).expect(303);
    expect((await api.get(`subscribers/${ada}`)).fields).toEqual({});
  });
});

describe('the page of a person', () => {
  it('shows and changes fields by their types, tags and lists, each refusal at its field', async () => {
    for (const [label, type] of [
      ['Born', 'date'],
      ['Pro', 'boolean'],
      ['Children', 'number'],
    ] as const)
      await owner.post('/admin/fields', { label, type }).expect(303);
    await owner.post('/admin/lists', { title: 'The letter' }).expect(303);
    const bob = await somebody('bob@example.com', {
      name: 'Bob',
      tags: ['old', 'kept'],
    });
    // Of before fields had to be defined.
    await t.dataSource.query(`update subscriber set fields = '{"foreign": 7}' where id = $1`, [bob]);
    const blank = await owner.get(`/admin/subscribers/${bob}`);
    expect(blank).toContain('<dt>Children</dt><dd class="break">–</dd>');
    expect(blank).toContain('foreign 7');
    const listId = idIn(await owner.get('/admin/lists'), 'lists', 'The letter');
    const wrong = await personForm(bob, {
      ...{ 'field.born': '31.1.1990', 'field.children': 'two', timeZone: 'Mars/Base', name: 'Bobby' },
    });
    const refused = await sendPerson(bob, wrong).expect(422);
    for (const problem of [
      '<a href="#field.born">Born: must be a date such as 2026-01-31</a>',
      '<a href="#field.children">Children: must be a number such as 12.5</a>',
      '<a href="#timeZone">Time zone: use one such as Europe/Berlin</a>',
    ])
      expect(refused.text).toContain(problem);
    expect(refused.text).toContain('value="31.1.1990"');
    expect((await api.get(`subscribers/${bob}`)).name).toBe('Bob');

    const right = await personForm(bob, {
      ...{ 'field.born': '1990-01-31', 'field.children': '2', 'field.pro': 'true', 'field.grosse': 'm' },
      ...{ timeZone: 'europe/vienna', name: 'Bobby', tags: 'kept, "new, too"', list: listId },
    });
    await sendPerson(bob, right).expect(303);
    expect(await api.get(`subscribers/${bob}`)).toMatchObject({
      ...{ name: 'Bobby', timeZone: 'Europe/Vienna', tags: ['kept', 'new, too'] },
      fields: { born: '1990-01-31', children: 2, pro: true, grosse: 'M', foreign: 7 },
    });
    const page = await owner.get(`/admin/subscribers/${bob}`);
    expect(page).toContain('<dt>Pro</dt><dd class="break">yes</dd>');
    expect(page).toContain('<span class="badge badge-brand">The letter</span>');
    const people = await owner.get('/admin/subscribers?list=the-letter&tag=kept');
    expect(people).toContain('bob@example.com');
    expect(people).not.toContain('>ada@example.com<');
    await sendPerson(
      bob,
      (await personForm(bob, { 'field.children': '' })).filter(([name]) => name !== 'list'),
    ).expect(303);
    expect((await api.get(`subscribers/${bob}`)).fields).not.toHaveProperty('children');
    expect((await api.get(`lists/${listId}`)).subscribers).toBe(0);
  });

  it('leaves alone what came about while its form was open', async () => {
    const cleo = await somebody('cleo@example.com', { tags: ['first'] });
    const open = await personForm(cleo, { name: 'Cleo' });
    await api.send('post', `subscribers/${cleo}/tags`, { name: 'meanwhile' }).expect(200);
    await api.send('patch', `subscribers/${cleo}`, { fields: { children: 3 } }).expect(200);
    await sendPerson(cleo, open).expect(303);
    expect(await api.get(`subscribers/${cleo}`)).toMatchObject({
      ...{ name: 'Cleo', tags: ['first', 'meanwhile'], fields: { children: 3 } },
    });
  });
});

describe('the pages of tags', () => {
  const tagId = async (name: string): Promise<string> =>
    (await api.get('tags?limit=200')).data.find((one: { name: string }) => one.name === name)?.id ?? '';
  const tagsOf = async (id: string): Promise<string[]> => (await api.get(`subscribers/${id}`)).tags;

  it('rename a tag, and segments follow', async () => {
    const dora = await somebody('dora@example.com', { tags: ['vipp'] });
    const conditions = { all: [{ not: { tag: 'old' } }, { any: [{ tag: 'vipp' }] }] };
    const { id: segment } = (
      await api.send('post', 'segments', { key: 'vips', title: 'VIPs', conditions }).expect(201)
    ).body;
    const id = await tagId('vipp');
    expect(await owner.get(`/admin/tags/${id}`)).toMatch(/segment<\/span> VIPs/);
    const taken = await owner.post(`/admin/tags/${id}`, { name: 'kept' }).expect(422);
    expect(plain(taken.text)).toContain('there is a tag "kept"; merge the two instead');
    expect((await owner.post(`/admin/tags/${id}`, { name: '' }).expect(422)).text).toContain(
      '<a href="#name">',
    );
    const kept = await owner.post(`/admin/tags/${id}/remove`, {}).expect(422);
    expect(plain(kept.text)).toContain('is used by the segment "VIPs"');
    await owner.post(`/admin/tags/${id}`, { name: 'vip' }).expect(303);
    expect(await tagsOf(dora)).toEqual(['vip']);
    expect((await api.get(`segments/${segment}`)).conditions).toEqual({
      all: [{ not: { tag: 'old' } }, { any: [{ tag: 'vip' }] }],
    });
    expect((await api.get(`segments/${segment}/count`)).count).toBe(1);
  });

  it('merge one tag into another: whoever had one or both has the other, and the first is gone', async () => {
    const one = await somebody('eve@example.com', { tags: ['customer'] });
    const both = await somebody('fay@example.com', { tags: ['customer', 'vip'] });
    const id = await tagId('customer');
    const nowhere = await owner.post(`/admin/tags/${id}/merge`, { into: 'nobody' }).expect(422);
    expect(nowhere.text).toContain('<a href="#into">Merge into: there is no tag “nobody”</a>');
    await owner.post(`/admin/tags/${id}/merge`, { into: 'customer' }).expect(422);
    await owner.post(`/admin/tags/${id}/merge`, { into: 'vip' }).expect(303);
    expect([await tagsOf(one), await tagsOf(both), await tagId('customer')]).toEqual([['vip'], ['vip'], '']);
    expect(await owner.get('/admin/tags?q=VI')).toMatch(/>vip<\/a>[\s\S]*class="number">3</);
  });

  it('tell sequences that listen for a tag whom a merge or a new name gave it', async () => {
    await t.dataSource.query(`insert into listened_tag values ('heard'), ('heard-too')`);
    const ida = await somebody('ida@example.com', { tags: ['spelled'] });
    const jan = await somebody('jan@example.com', { tags: ['spelled', 'heard'] });
    await owner.post(`/admin/tags/${await tagId('spelled')}/merge`, { into: 'heard' }).expect(303);
    await owner.post(`/admin/tags/${await tagId('heard')}`, { name: 'heard-too' }).expect(303);
    expect(
      await t.dataSource.query(
        'select subscriber_id as id, name from tag_signal order by name, subscriber_id',
      ),
    ).toEqual([
      { id: ida, name: 'heard' },
      { id: ida, name: 'heard-too' },
      { id: jan, name: 'heard-too' },
    ]);
  });

  it('leave alone what a sequence names and what orders put on people', async () => {
    const steps = [{ kind: 'tag', key: 'mark', tags: ['marked'], next: null }];
    await t.dataSource.query(
      `update sequence_version v set definition = jsonb_set(definition, '{nodes}', definition->'nodes' || $1::jsonb)
       from sequence q where q.current_version_id = v.id and q.key = (select min(key) from sequence)`,
      [JSON.stringify(steps)],
    );
    await somebody('gus@example.com', { tags: ['marked', 'bought:kit'] });
    const named = await owner.post(`/admin/tags/${await tagId('marked')}`, { name: 'other' }).expect(422);
    expect(plain(named.text)).toMatch(/The tag "marked" is used by the sequence "/);
    const bought = await tagId('bought:kit');
    expect(await owner.get(`/admin/tags/${bought}`)).toContain('Orders put this tag on those who buy');
    await owner.post(`/admin/tags/${bought}/remove`, {}).expect(422);
    await api.send('patch', `tags/${bought}`, { name: 'x' }).expect(409);
  });

  it('take a tag off everybody for good, here and by the API', async () => {
    const hal = await somebody('hal@example.com', { tags: ['gone', 'too'] });
    await owner.post(`/admin/tags/${await tagId('gone')}/remove`, {}).expect(303);
    await api.send('delete', `tags/${await tagId('too')}`).expect(204);
    expect(await tagsOf(hal)).toEqual([]);
    await t.http.get('/admin/tags/99999').set('Cookie', owner.cookie).expect(404);
  });
});

describe('the pages of lists', () => {
  it('make a list, show who is on it, rename it, and name who holds it', async () => {
    const untitled = await owner.post('/admin/lists', { title: '' }).expect(422);
    expect(untitled.text).toContain('<a href="#title">Name: ');
    await owner.post('/admin/lists', { title: 'Sunday reads', description: 'Once a week' }).expect(303);
    const again = await owner.post('/admin/lists', { title: 'Sunday reads' }).expect(422);
    expect(plain(again.text)).toContain('there is a list "sunday-reads"');
    const id = idIn(await owner.get('/admin/lists'), 'lists', 'Sunday reads');
    const segment = { key: 'sunday', title: 'Sunday', conditions: { list: 'sunday-reads' } };
    const { id: segmentId } = (await api.send('post', 'segments', segment).expect(201)).body;
    const refused = await owner.post(`/admin/lists/${id}/remove`, {}).expect(409);
    expect(plain(refused.text)).toContain('is used by the segment "Sunday"');
    await api.send('delete', `segments/${segmentId}`).expect(204);
    await owner.post(`/admin/lists/${id}`, { title: 'Sunday', description: '', isPublic: 'yes' }).expect(303);
    expect(await api.get(`lists/${id}`)).toMatchObject({
      key: 'sunday-reads',
      title: 'Sunday',
      isPublic: true,
    });
  });

  it('put a public list on the page of preferences, where people join and leave it with their words kept', async () => {
    const reader = await newReader(t, 'reader@example.com');
    const page = async (): Promise<string> => (await t.http.get(reader.preferences).expect(200)).text;
    expect(await page()).toContain('Put me on the list: Sunday');
    expect(await page()).not.toContain('The letter');
    const base = preferencesForm({ topics: ['niche-ebook'], tracking: true });
    const save = async (more: string): Promise<void> => {
      await t.http.post(reader.preferences).type('form').send(`${base}${more}`).expect(200);
    };
    const isOn = async (): Promise<boolean> =>
      (await t.dataSource.query('select 1 from list_member where subscriber_id = $1', [reader.id])).length >
      0;
    await save('&listShown=sunday-reads&list=sunday-reads&list=the-letter');
    expect(await isOn()).toBe(true);
    expect(await page()).toMatch(/value="sunday-reads" type="checkbox" checked/);
    // A page that was opened before the list was made public says nothing of it.
    await save('');
    expect(await isOn()).toBe(true);
    await save('&listShown=sunday-reads');
    expect(await isOn()).toBe(false);
    expect(
      await t.dataSource.query(
        `select kind, consent_text as words from consent_event where subscriber_id = $1 and purpose = 'list:sunday-reads' order by id`,
        [reader.id],
      ),
    ).toEqual([
      { kind: 'granted', words: 'Put me on the list: Sunday' },
      { kind: 'withdrawn', words: 'Put me on the list: Sunday' },
    ]);
  });
});
