import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { startTestApp, type TestApp } from '../../../support/app.js';
import { untilWaiting } from '../../../support/database.js';
import { OWNER, ownerPages } from '../../../support/owner-pages.js';
import { zipOf } from '../../../support/zip.js';

let t: TestApp;
let cookie = '';
beforeAll(async () => {
  t = await startTestApp();
  ({ cookie } = await ownerPages(t));
  await t.dataSource.query(
    `insert into subscriber_field (key, label, type, created_at) values ('age', 'Age', 'number', now())`,
  );
  await t.dataSource.query(`insert into list (key, title, created_at) values ('news', 'News', now())`);
});
afterAll(async () => t.close());

const get = async (path: string): Promise<string> =>
  (await t.http.get(path).set('Cookie', cookie).expect(200)).text;
const post = (path: string, form: Record<string, string> = {}) =>
  t.http.post(path).set('Cookie', cookie).type('form').send(form);
const upload = (file: Buffer, name = 'people.csv') =>
  t.http.post('/admin/imports').set('Cookie', cookie).attach('file', file, name);
async function uploaded(text: string | Buffer, name?: string): Promise<string> {
  const { headers } = await upload(Buffer.from(text), name).expect(303);
  return String(headers['location']);
}
const work = async (): Promise<void> => {
  expect(await t.app.get(JobRunner).run('imports.run')).toBe('done');
};
const figures = (html: string): Record<string, number> =>
  Object.fromEntries(
    [...html.matchAll(/<dt>([^<]+)<\/dt><dd>([\d,]+)<p/g)].map(([, label = '', count = '']) => [
      label,
      Number(count.replaceAll(',', '')),
    ]),
  );
const MAPPED = {
  ...{ 'column.0': 'email', 'column.1': 'name', 'column.2': 'field:age' },
  ...{ status: 'active', consentText: 'Send me tips', existing: 'fill', tags: 'imported', lists: 'news' },
};

describe('the pages of an import', () => {
  it('are for the owner, from their own page', async () => {
    for (const path of ['/admin/imports', '/admin/segments', '/admin/subscribers/export.csv'])
      expect((await t.http.get(path).expect(303)).headers['location']).toMatch(/^\/admin\/login/);
    await t.http.post('/admin/imports').attach('file', Buffer.from('email\n'), 'a.csv').expect(303);
    await upload(Buffer.from('email\n')).set('Origin', 'https://evil.example').expect(403);
    expect(await get('/admin/imports')).toContain('No import yet.');
  });

  it('lead from the file over what its columns are and a dry run to people, with the same counts', async () => {
    const page = await uploaded(
      'E-Mail;Who <b>;Age\nada@example.com;Ada;41\nbob@example.com;Bob;old\nADA@example.com;;\n',
    );
    const form = await get(page);
    expect(form).toContain('Who &lt;b&gt;');
    expect(form).toMatch(/<option value="email" selected>/);
    expect(form).toContain('Ada · Bob');
    const refused = await post(`${page}/begin`, { ...MAPPED, consentText: '', lists: 'nowhere' }).expect(422);
    expect(refused.text).toContain('id="consentText-error"');
    expect(refused.text).toMatch(/<option value="field:age" selected>/);
    expect((await post(`${page}/begin`, { ...MAPPED, lists: 'nowhere' }).expect(422)).text).toContain(
      'nowhere',
    );
    const twice = await post(`${page}/begin`, { ...MAPPED, 'column.1': 'email' }).expect(422);
    expect(twice.text).toContain('would both be email');
    await post(`${page}/begin`, { ...MAPPED, dryRun: 'yes' }).expect(303);
    const busy = await t.http.get(page).set('Cookie', cookie).expect(200);
    expect(busy.headers['refresh']).toBe('2');
    await work();
    const counted = await get(page);
    expect(counted).toContain('Nothing was changed.');
    expect(figures(counted)).toEqual({ New: 1, Repeated: 1, Refused: 1 });
    expect(await t.dataSource.query('select 1 from subscriber')).toEqual([]);

    await post(`${page}/remap`).expect(303);
    expect(await get(page)).toMatch(/<option value="field:age" selected>/);
    await post(`${page}/begin`, { ...MAPPED, 'column.2': 'ignore', dryRun: 'yes' }).expect(303);
    await work();
    const dry = figures(await get(page));
    expect(dry).toEqual({ New: 2, Repeated: 1 });
    await post(`${page}/run`).expect(303);
    await work();
    const done = await get(page);
    expect(figures(done)).toEqual(dry);
    expect(done).toContain('columns that were left out'.replace('c', 'C'));
    const people = await t.dataSource.query('select email, status from subscriber order by email');
    expect(people).toEqual([
      { email: 'ada@example.com', status: 'active' },
      { email: 'bob@example.com', status: 'active' },
    ]);
    const { text, headers } = await t.http.get(`${page}/rejected.csv`).set('Cookie', cookie).expect(200);
    expect(headers['content-disposition']).toContain('attachment');
    expect(text).toContain('"4","the same address as in line 2","ADA@example.com"');
    expect(await t.dataSource.query('select 1 from import_file')).toEqual([]);
    expect(await get('/admin/imports')).toContain('2 new');
    await post(`${page}/run`).expect(409);
    await post(`${page}/explode`).expect(404);
  });

  it('make the fields that columns have no place in yet, named after them and checked by their type', async () => {
    const page = await uploaded('E-Mail,Größe,Größe ,Name,¿?\nnew@example.com,41,tall,Newton,1\n');
    const form = await get(page);
    expect(form).toContain('<optgroup label="Made when you go on">');
    const columns = {
      'column.0': 'email',
      'column.1': 'new:number',
      'column.2': 'new:text',
      'column.3': 'new:text',
    };
    const options = { status: 'pending', existing: 'fill', tags: '', lists: '', dateOrder: '' };
    const nameless = await post(`${page}/begin`, { ...columns, ...options, 'column.4': 'new:text' }).expect(
      422,
    );
    expect(nameless.text).toContain('No field can be named after the column “¿?”');
    expect(nameless.text).toMatch(/<option value="new:number" selected>/);
    const wrong = { ...columns, ...options, 'column.4': 'ignore', lists: 'nowhere' };
    await post(`${page}/begin`, wrong).expect(422);
    expect(await t.dataSource.query(`select 1 from subscriber_field where key <> 'age'`)).toEqual([]);
    await post(`${page}/begin`, { ...wrong, lists: '', dryRun: 'no' }).expect(303);
    await work();
    const fields = await t.dataSource.query(
      `select key, label, type from subscriber_field where key <> 'age' order by id`,
    );
    expect(fields).toEqual([
      { key: 'grosse', label: 'Größe', type: 'number' },
      { key: 'grosse2', label: 'Größe', type: 'text' },
      { key: 'name2', label: 'Name', type: 'text' },
    ]);
    const people = await t.dataSource.query(`select fields from subscriber where email = 'new@example.com'`);
    expect(people).toEqual([{ fields: { grosse: 41, grosse2: 'tall', name2: 'Newton' } }]);
    await t.dataSource.query(`delete from subscriber where email = 'new@example.com'`);
    await t.dataSource.query(`delete from subscriber_field where key <> 'age'`);
  });

  const SHOES = {
    ...{ 'column.0': 'email', 'column.1': 'new:number', status: 'pending', existing: 'fill' },
    ...{ tags: '', lists: '', dateOrder: '', dryRun: 'yes' },
  };
  const shoes = async (): Promise<{ key: string }[]> =>
    t.dataSource.query(`select key from subscriber_field where label = 'Shoe size' order by id`);
  const forget = async (pages: string[]): Promise<void> => {
    for (const page of pages) await post(`${page}/cancel`).expect(303);
    await t.dataSource.query(`delete from subscriber_field where key <> 'age'`);
  };

  it('make a field once, though “Go on” is pressed twice: shoeSize2 came to be', async () => {
    const page = await uploaded('E-Mail,Shoe size\nfoot@example.com,41\n');
    await post(`${page}/begin`, SHOES).expect(303);
    await post(`${page}/begin`, SHOES).expect(409);
    expect(await shoes()).toEqual([{ key: 'shoeSize' }]);
    const again = await uploaded('E-Mail,Shoe size\nfoot@example.com,41\n');
    await post(`${again}/begin`, SHOES).expect(303);
    expect(await shoes()).toEqual([{ key: 'shoeSize' }]);
    await forget([page, again]);
  });

  it('use the field that somebody makes at that moment: the import ended in “there is a field”', async () => {
    const page = await uploaded('E-Mail,Shoe size\nfoot@example.com,41\n');
    const other = t.dataSource.createQueryRunner();
    await other.startTransaction();
    try {
      await other.query(
        `insert into subscriber_field (key, label, type, created_at) values ('shoeSize', 'Shoe size', 'number', now())`,
      );
      const begun = post(`${page}/begin`, SHOES).then(({ status }) => status);
      await untilWaiting(t.dataSource, 1, begun);
      await other.commitTransaction();
      expect(await begun).toBe(303);
    } finally {
      await other.release();
    }
    expect(await shoes()).toEqual([{ key: 'shoeSize' }]);
    await forget([page]);
  });

  it('take the archive of Mailchimp as one import, in which a no wins', async () => {
    const page = await uploaded(
      zipOf({
        'subscribed_members_export_1.csv':
          'Email Address,First Name,OPTIN_TIME,LEID,TIMEZONE\nyes@example.com,Yes,2024-01-02 03:04:05,1,Mars/Base\nno@example.com,No,2024-01-02 03:04:05,2,\nwrong,,,3,\n',
        'unsubscribed_members_export_1.csv':
          'Email Address,First Name,OPTIN_TIME,UNSUB_TIME,LEID\nno@example.com,No,2024-01-02 03:04:05,2024-02-02 03:04:05,2\n',
        'nonsubscribed_members_export_1.csv': 'Email Address,First Name,LEID\nbuyer@example.com,Buyer,9\n',
        'cleaned_members_export_1.csv':
          'Email Address,First Name,CLEAN_TIME,LEID\ndead@example.com,,2024-02-02 03:04:05,4\n',
      }),
      'audience.zip',
    );
    const form = await get(page);
    expect(form).toContain('This looks like a table of Mailchimp.');
    const columns = [...form.matchAll(/<select id="(column\.\d+)"[\s\S]*?selected>/g)].map(([all, name]) => [
      name ?? '',
      /.*value="([^"]+)" selected/.exec(all)?.[1] ?? '',
    ]);
    const rest = { status: 'pending', consentText: '', existing: 'fill', tags: '', lists: '', dryRun: 'no' };
    await post(`${page}/begin`, { ...Object.fromEntries(columns), ...rest }).expect(303);
    await work();
    const html = await get(page);
    expect(figures(html)).toEqual({ New: 4, Repeated: 1, Refused: 1 });
    expect(html).toContain('1 row with a time zone that is none');
    const people = await t.dataSource.query(
      `select email, status from subscriber where email !~ '^(ada|bob)' order by email`,
    );
    expect(people).toEqual([
      { email: 'buyer@example.com', status: 'pending' },
      { email: 'dead@example.com', status: 'bounced' },
      { email: 'no@example.com', status: 'unsubscribed' },
      { email: 'yes@example.com', status: 'active' },
    ]);
    const { text } = await t.http.get(`${page}/rejected.csv`).set('Cookie', cookie).expect(200);
    expect(text).toContain(
      '"subscribed_members_export_1.csv","3","the same address as in line 2 of unsubscribed_members_export_1.csv"',
    );
  });

  it('name the topics that no funnel here has: their number said nothing of which was mistyped', async () => {
    const page = await uploaded('wellspring:email,topicsOff\na@example.com,"niche-ebook,to-come"\n');
    const rest = { status: 'pending', consentText: '', existing: 'fill', tags: '', lists: '', dryRun: 'yes' };
    await post(`${page}/begin`, { 'column.0': 'email', 'column.1': 'topicsOff', ...rest }).expect(303);
    await work();
    expect(await get(page)).toContain('1 row of people who want no mails about a topic');
    expect(await get(page)).toContain('(“to-come”).');
    await post(`${page}/cancel`).expect(303);
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'it is empty'],
    ['an archive without tables', zipOf({ 'a.pdf': 'x' }), 'holds no .csv file'],
  ])('refuse %s, and keep nothing of it', async (_, file, words) => {
    expect((await upload(file).expect(422)).text).toContain(words);
    expect(await t.dataSource.query('select 1 from import_file')).toEqual([]);
  });

  it('throw a file away, at once when its owner says so and by themselves a day later', async () => {
    const files = async (): Promise<number> =>
      (await t.dataSource.query('select count(*)::int as n from import_file'))[0].n;
    const page = await uploaded('email\na@example.com\n');
    await post(`${page}/cancel`).expect(303);
    expect(await get(page)).toContain('Cancelled.');
    const forgotten = await uploaded('email\na@example.com\n');
    expect(await files()).toBe(1);
    t.clock.advance(25 * 3_600_000);
    await t.app.get(JobRunner).run('imports.clean');
    expect(await files()).toBe(0);
    expect(await get(forgotten)).toContain('Cancelled.');
    await post(`${forgotten}/begin`, { ...MAPPED, dryRun: 'no' }).expect(409);
  });
});

describe('the page of subscribers', () => {
  const signIn = async (next = '/admin'): Promise<void> => {
    const answer = await t.http
      .post('/admin/login')
      .type('form')
      .send({ ...OWNER, next })
      .expect(303);
    cookie = String(answer.headers['set-cookie']).split(';')[0] ?? '';
    expect(answer.headers['location']).toBe(next);
  };
  beforeAll(async () => signIn());

  it.each([
    ['', ['ada', 'bob', 'buyer', 'dead', 'no', 'yes']],
    ['?q=ADA%40example.com', ['ada']],
    ['?q=b', ['bob', 'buyer']],
    ['?status=bounced', ['dead']],
    ['?status=active&q=example', ['ada', 'bob', 'yes']],
    ['?q=%25%00', []],
    ['?status=deadly&segment=', ['ada', 'bob', 'buyer', 'dead', 'no', 'yes']],
  ])('finds by %s', async (query, names) => {
    const html = await get(`/admin/subscribers${query}`);
    const found = [...html.matchAll(/href="\/admin\/subscribers\/\d+">(\w+)@/g)].map(([, name = '']) => name);
    expect(found.toSorted((a, b) => a.localeCompare(b))).toEqual(names);
    // What is taken away is what was found, and not everybody.
    const file = /href="(\/admin\/subscribers\/export\.csv[^"]*)"/.exec(html)?.[1] ?? '';
    const lines = (await get(file.replaceAll('&amp;', '&'))).trim().split('\n').slice(1);
    const taken = lines.map((line) => /"(\w+)@/.exec(line)?.[1] ?? line);
    expect(taken.toSorted((a, b) => a.localeCompare(b))).toEqual(names);
  });

  it('gives them away as a table', async () => {
    expect(await get('/admin/subscribers/export.csv')).toContain('"ada@example.com"');
    for (const path of ['', '/export.csv'])
      await t.http.get(`/admin/subscribers${path}?segment=gone`).set('Cookie', cookie).expect(404);
  });

  it('says that those of a search were taken, and not whom was searched for: it was told as an export of everybody', async () => {
    const told = async (): Promise<string[]> => {
      const rows: { message: string }[] = await t.dataSource.query(
        `select message from alert where key like 'subscribers:exported:owner%' and resolved_at is null`,
      );
      return rows.map(({ message }) => message);
    };
    await t.dataSource.query(`delete from alert where key like 'subscribers:exported:owner%'`);
    await get('/admin/subscribers/export.csv?q=ada@example.com&status=active');
    expect(await told()).toEqual([
      expect.stringMatching(/^Subscribers were exported by you.*\(status active, a name or address\)/),
    ]);
    expect((await told()).join()).not.toContain('ada@');
  });

  it('are not taken away by who signed in more than an hour ago: a browser left open gave everybody away', async () => {
    t.clock.advance(3_600_001);
    const answer = await t.http.get('/admin/subscribers/export.csv?q=ada').set('Cookie', cookie).expect(303);
    const login = String(answer.headers['location']);
    const form = await t.http.get(login).expect(200);
    expect(form.text).toContain('signed in more than an hour ago');
    const next = /name="next" value="([^"]*)"/.exec(form.text)?.[1] ?? '';
    expect(next).toBe('/admin/subscribers?q=ada');
    await signIn('/admin/subscribers?q=ada');
    expect(await get('/admin/subscribers/export.csv?q=ada')).toContain('"ada@example.com"');
  });

  it('are not taken away either by who signed in while the clock was ahead: a browser left open gave everybody away for as long', async () => {
    t.clock.advance(-7_200_000);
    await t.http.get('/admin/subscribers/export.csv').set('Cookie', cookie).expect(303);
    await signIn();
    expect(await get('/admin/subscribers/export.csv')).toContain('"ada@example.com"');
  });
});
