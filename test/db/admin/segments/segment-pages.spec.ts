import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { type OwnerPages, ownerPages, plain } from '../../../support/owner-pages.js';

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  owner = await ownerPages(t);
  await t.dataSource.query(
    `insert into subscriber_field (key, label, type, choices, created_at)
     values ('age', 'Age', 'number', '[]', now()), ('size', 'Size', 'choice', '["S", "M"]', now())`,
  );
  await t.dataSource.query(`insert into list (key, title, created_at) values ('news', 'The news', now())`);
  for (const [email, fields, tags] of [
    ['ada@example.com', { age: 41, size: 'S' }, ['vip']],
    ['bob@example.com', { age: 30 }, []],
    ['cleo@example.com', {}, ['vip', 'press']],
  ] as const)
    await api('post', 'subscribers', { email, fields, tags }).expect(201);
});
afterAll(async () => t.close());

const api = (method: 'post' | 'get', path: string, body?: object) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
type Part = Record<string, string | string[]>;
/** The form of conditions as a browser sends it: `line('c.0', { kind: 'tag', tag: 'vip' })`. */
const line = (path: string, values: Part): Part =>
  Object.fromEntries(
    Object.entries({ not: 'no', ...values }).map(([name, value]) => [`${path}.${name}`, value]),
  );
const group = (path: string, match: string): Part => ({ [`${path}.match`]: match });
const send = (path: string, form: Part) =>
  t.http.post(path).set('Cookie', owner.cookie).type('form').send(form);
const count = async (form: Part): Promise<unknown> =>
  (await send('/admin/segments/count', form).expect(200)).body;
const chosen = (html: string, name: string): string =>
  plain(
    new RegExp(`<select[^>]* name="${name.replaceAll('.', '\\.')}"[\\s\\S]*?value="([^"]*)" selected`).exec(
      html,
    )?.[1] ?? '',
  );

describe('the pages of segments', () => {
  it('count a tree of any depth while it is typed', async () => {
    const tree = {
      ...group('c', 'any'),
      ...line('c.0', { kind: 'field', field: 'age', op: 'above', value: '40' }),
      ...group('c.1', 'all'),
      ...line('c.1.0', { kind: 'tag', tag: 'vip' }),
      ...group('c.1.1', 'none'),
      ...line('c.1.1.0', { kind: 'field', field: 'age', op: 'isSet' }),
      ...line('c.1.1.1', { kind: 'tag', tag: 'press', not: 'yes' }),
    };
    expect(await count(tree)).toEqual({ count: 2 });
    expect(await count({ ...tree, 'c.match': 'all' })).toEqual({ count: 0 });
    expect(await count({ ...tree, 'c.match': 'notAll' })).toEqual({ count: 3 });
    expect(
      await count({
        ...group('c', 'all'),
        ...line('c.0', { kind: 'status', status: ['pending', 'active'] }),
      }),
    ).toEqual({
      count: 3,
    });
  });

  it('say what is wrong with which input, beside the count and at the input itself', async () => {
    const form = {
      ...{ title: 'X', action: 'save' },
      ...group('c', 'all'),
      ...line('c.0', { kind: '' }),
      ...line('c.1', { kind: 'field', field: 'age', op: 'above', value: 'old' }),
      ...line('c.2', { kind: 'list', list: 'gone' }),
      ...line('c.3', { kind: 'opened', mail: 'any', when: 'last', withinDays: '' }),
    };
    expect(await count(form)).toEqual({
      ...{ count: null, problem: 'Condition 2 (have in the field, value): say with what it is compared' },
    });
    const { text } = await send('/admin/segments', form).expect(422);
    expect(text).toContain(
      '<a href="#c.3.withinDays">Condition 4 (opened, days): use a whole number of days from 1 to 3650</a>',
    );
    expect(text).toMatch(/id="c\.1\.value" name="c\.1\.value" value="old"[^>]*aria-invalid="true"/);
    const mended = { ...form, 'c.1.value': '40', 'c.3.withinDays': '90' };
    const unknown = await send('/admin/segments', mended).expect(422);
    expect(plain(unknown.text)).toContain(
      '<a href="#c.2.list">Condition 3 (are on the list): there is no list "gone"</a>',
    );
    const size = {
      ...group('c', 'all'),
      ...line('c.0', { kind: 'field', field: 'size', op: 'is', value: 'XXL' }),
    };
    expect(await count(size)).toEqual({
      ...{ count: null, problem: 'Condition 1 (have in the field, value): must be one of S, M' },
    });
    const nothing = await send('/admin/segments', {
      title: 'X',
      action: 'save',
      ...group('c', 'all'),
    }).expect(422);
    expect(nothing.text).toContain('Choose at least one condition.');
    expect(await count({ title: 'x' })).toMatchObject({ count: null });
    expect(
      (await send('/admin/segments', { ...size, 'c.0.value': 's', title: '', action: 'save' }).expect(422))
        .text,
    ).toContain('<a href="#title">Name: give it a name</a>');
  });

  it('add a condition or a group where a button says so, and take it away, keeping what was typed', async () => {
    const form = { title: 'Y', ...group('c', 'any'), ...line('c.0', { kind: 'tag', tag: 'vip' }) };
    const nested = (await send('/admin/segments', { ...form, action: 'group:c' }).expect(200)).text;
    expect(nested).toContain('name="c.1.match"');
    expect(nested).toContain('name="c.1.0.kind"');
    expect(nested).toMatch(/name="c\.0\.tag" value="vip"/);
    const more = { ...form, ...group('c.1', 'any'), ...line('c.1.0', { kind: '' }), action: 'remove:c.0' };
    const less = (await send('/admin/segments', more).expect(200)).text;
    expect(less).toContain('name="c.0.match"');
    expect(less).not.toContain('name="c.0.tag"');
    const shaped = await send('/admin/segments', { ...form, 'c.0.kind': 'field', action: 'shape' }).expect(
      200,
    );
    expect(shaped.text).toContain('name="c.0.op"');
    const now = await send('/admin/segments', { ...form, action: 'count' }).expect(200);
    expect(now.text).toContain('<strong>2</strong> people belong to it now');
  });

  it('ask a field as its type has it: with its choices, and only what it can be asked', async () => {
    const of = async (field: string, op = ''): Promise<string> =>
      (
        await send('/admin/segments', {
          ...group('c', 'all'),
          ...line('c.0', { kind: 'field', field, op, value: '' }),
          action: 'shape',
        }).expect(200)
      ).text;
    const size = await of('size');
    expect(size).toMatch(/<select id="c\.0\.value"[\s\S]*?<option value="M">M<\/option>/);
    expect(size).not.toContain('<option value="above">');
    const age = await of('age', 'above');
    expect(age).toMatch(/id="c\.0\.value"[^>]* inputmode="decimal"/);
    expect(age).not.toContain('<option value="contains">');
    expect(await of('email', 'isSet')).not.toContain('id="c.0.value"');
  });

  it('keep a segment, show it as it was typed and in words, who belongs to it, and remove it', async () => {
    const form = {
      ...{ title: 'Ängstlich & jung', action: 'save' },
      ...group('c', 'all'),
      ...line('c.0', { kind: 'tag', tag: 'vip' }),
      ...line('c.1', { kind: 'field', not: 'yes', field: 'age', op: 'above', value: '50' }),
    };
    await send('/admin/segments', form).expect(303);
    expect((await send('/admin/segments', form).expect(422)).text).toContain(
      'There is a segment of this name.',
    );
    const list = await owner.get('/admin/segments');
    expect(list).toContain('tag “vip” and not age is above 50');
    const id = /href="\/admin\/segments\/(\d+)"/.exec(list)?.[1] ?? '';
    expect(JSON.parse(await owner.get(`/admin/segments/${id}/count`))).toEqual({ count: 2 });
    const edit = await owner.get(`/admin/segments/${id}`);
    expect([chosen(edit, 'c.1.kind'), chosen(edit, 'c.1.not'), chosen(edit, 'c.1.op')]).toEqual([
      'field',
      'yes',
      'above',
    ]);
    expect(edit).toContain('value="50"');
    const people = await owner.get('/admin/subscribers?segment=angstlich-jung&q=ada');
    expect(people).toContain('>ada@example.com<');
    expect(people).not.toContain('cleo@example.com');
    const file = await owner.get('/admin/subscribers/export.csv?segment=angstlich-jung&q=ada');
    expect(file).toContain('ada@example.com');
    expect(file).not.toContain('cleo@example.com');
    await send(`/admin/segments/${id}`, { ...form, title: 'Other' }).expect(303);
    await send(`/admin/segments/${id}/remove`, {}).expect(303);
    expect(await owner.get('/admin/segments')).toContain('No segment yet.');
    await t.http.get(`/admin/segments/${id}`).set('Cookie', owner.cookie).expect(404);
  });

  it('show a tree of the API as a form, names by their titles, and give the same conditions back', async () => {
    const conditions = {
      any: [
        { not: { all: [{ list: 'news' }, { opened: { withinDays: 30 } }] } },
        {
          all: [
            { received: { funnel: 'niche-ebook', step: 'welcome', since: '2026-01-01' } },
            { not: { purchased: {} } },
          ],
        },
        { field: 'age', op: 'isSet' },
        { affiliate: 'any' },
        { sequence: { key: 'niche-ebook', is: 'completed' } },
      ],
    };
    const { id } = (await api('post', 'segments', { key: 'deep', title: 'Deep', conditions }).expect(201))
      .body;
    const edit = await owner.get(`/admin/segments/${id}`);
    expect(edit).toContain('<option value="news" selected>The news</option>');
    expect(edit).toContain('75 niches that pay</option>');
    const form: Part = { title: 'Deep', action: 'save' };
    for (const [, name = '', value = ''] of edit.matchAll(
      /<input id="c[^"]*" name="([^"]+)" value="([^"]*)"/g,
    ))
      form[name] = plain(value);
    for (const [, name = '', options = ''] of edit.matchAll(
      /<select [^>]*name="(c[^"]*)"[^>]*>([\s\S]*?)<\/select>/g,
    ))
      form[name] = plain(
        /value="([^"]*)" selected/.exec(options)?.[1] ?? /value="([^"]*)"/.exec(options)?.[1] ?? '',
      );
    await send(`/admin/segments/${id}`, form).expect(303);
    expect((await api('get', `segments/${id}`).expect(200)).body.conditions).toEqual(conditions);
  });
});
