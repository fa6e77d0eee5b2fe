import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { boxed, type OwnerPages, ownerPages, plain, tokenIn } from '../../support/owner-pages.js';
import { empty } from '../../support/database.js';

const NEW = '/admin/new-funnel/text';

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  owner = await ownerPages(t);
});
afterAll(async () => t.close());

const upload = (bytes: string, name: string) =>
  t.http.post('/admin/files').set('Cookie', owner.cookie).attach('file', Buffer.from(bytes), name);

describe('files in the web app', () => {
  it('are taken in under a name that a funnel can say, for the owner alone', async () => {
    await t.http.post('/admin/files').attach('file', Buffer.from('x'), 'x.pdf').expect(303);
    await upload('x', 'x.pdf').set('Origin', 'https://evil.example').expect(403);
    expect((await t.dataSource.query(`select 1 from stored_file where file_name = 'x.pdf'`)).length).toBe(0);
    const none = await t.http
      .post('/admin/files')
      .set('Cookie', owner.cookie)
      .attach('file', Buffer.from(''), '')
      .expect(422);
    expect(none.text).toContain('choose a file');
    await upload('the guide', 'Grüner Tee & mehr (2).pdf').expect(303);
    await upload('the guide', '../../etc/passwd').expect(303);
    const page = await owner.get('/admin/files');
    expect(page).toContain('<code>files/Gruner Tee - mehr -2-.pdf</code>');
    expect(page).toContain('<code>files/passwd</code>');
    expect(page).toContain('9 bytes');
  });
});

describe('a new funnel in the web app', () => {
  it('asks for what is the owner’s own, and says what is wrong at its field', async () => {
    const wrong = { title: '', senderEmail: 'ada', price: '49 Euro', headline: 'x'.repeat(201) };
    const { text } = await owner.post('/admin/new-funnel', wrong).expect(422);
    for (const problem of [
      '<a href="#title">Name: give it a name</a>',
      '<a href="#price">Price: write it as 49.00 EUR</a>',
      '<a href="#headline">Headline: use at most 200 characters</a>',
    ])
      expect(text).toContain(problem);
    expect(text).toContain('<a href="#senderEmail">Your address for answers: ');
    expect(text).toMatch(/id="price"[^>]*value="49 Euro"/);
    const taken = await owner.post('/admin/new-funnel', { title: 'Niche ebook' }).expect(422);
    expect(plain(taken.text)).toContain('there is a funnel "niche-ebook" already');
  });

  it('goes from a few words and an upload to a visitor who gets the file and buys, in the web app alone', async () => {
    await upload('all about tea', 'tea-guide.pdf').expect(303);
    const begun = await owner
      .post('/admin/new-funnel', {
        ...{ title: 'Tea: "green" & black', senderName: 'Tilda Leaf', senderEmail: 'tilda@example.com' },
        ...{
          postalAddress: '7 Pot Lane, Kettleton',
          headline: 'A month of tea',
          consent: 'Send me letters on tea.',
        },
        ...{ product: 'The tea chest', price: '12.50 EUR' },
      })
      .expect(200);
    const start = boxed(begun.text);
    expect(start).toContain('funnel: tea-green-black');
    expect(start).not.toContain('demonstration funnel');
    expect(start).not.toContain('Ada Winters');
    const yaml = start.replace('files/75-niches.pdf', 'files/tea-guide.pdf');
    const planned = await owner.post(NEW, { yaml, action: 'plan' }).expect(200);
    const applied = await owner
      .post(NEW, { yaml, action: 'apply', token: tokenIn(planned.text) })
      .expect(303);
    expect(applied.headers['location']).toBe('/admin/funnels/tea-green-black');
    await owner.get('/admin/funnels/tea-green-black');

    expect((await t.http.get('/p/tea-green-black').expect(200)).text).toContain('A month of tea');
    const email = 'drinker@example.com';
    await t.http.post('/p/tea-green-black').type('form').send({ email }).expect(200);
    await t.runDue();
    const [confirmation] = (await t.mailsTo(email)) as [TestMail];
    expect(confirmation.html).toContain('7 Pot Lane');
    const confirmed = await t.http.post(linkIn(confirmation, /\/confirm\//)).expect(200);
    const link = /href="[^"]*(\/download\/[^"]+)"/.exec(confirmed.text)?.[1] ?? '';
    const { body } = await t.http.get(link).buffer(true).expect(200);
    expect(Buffer.from(body as Uint8Array).toString()).toBe('all about tea');
    const offer = /href="\/(offer|checkout)\/(tea-green-black-[\w-]+)/.exec(
      (await t.http.get('/offer/tea-green-black-launch-kit').expect(200)).text,
    );
    expect(offer?.[2]).toBe('tea-green-black-launch-kit');
  });

  it('names a file that is nowhere, and where it can be uploaded', async () => {
    const begun = await owner.post('/admin/new-funnel', { title: 'Moss', key: 'moss' }).expect(200);
    const yaml = boxed(begun.text).replace('files/75-niches.pdf', 'files/never-there.pdf');
    const refused = await owner.post(NEW, { yaml, action: 'plan' }).expect(422);
    expect(plain(refused.text)).toMatch(
      /Line \d+[\s\S]*files\/never-there\.pdf did not come along[\s\S]*upload it under Files/,
    );
  });
});

describe('the files of a new funnel, which begins with names of the demonstration', () => {
  /** What its buyers and readers get, by the names in its text. */
  const delivered = async (key: string, change = (yaml: string): string => yaml) => {
    const begun = await owner.post('/admin/new-funnel', { title: key, key }).expect(200);
    const yaml = change(boxed(begun.text));
    const planned = await owner.post(NEW, { yaml, action: 'plan' }).expect(200);
    await owner.post(NEW, { yaml, action: 'apply', token: tokenIn(planned.text) }).expect(303);
    const { body } = await t.http
      .get(`/api/v1/funnels/${key}/files`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    const files = new Map<string, string>();
    for (const { name, url } of (body as { data: { name: string; url: string }[] }).data) {
      const answer = await t.http.get(new URL(url).pathname).responseType('blob').expect(200);
      files.set(name, (answer.body as Buffer).toString('latin1'));
    }
    return files;
  };
  const ofDemo = async (name: string): Promise<string> => readFile(`config/funnels/${name}`, 'latin1');

  it('are the owner’s own where one of that name was uploaded: buyers got the demonstration’s', async () => {
    await upload('my own kit', 'launch-kit.zip').expect(303);
    const files = await delivered('own-kit');
    expect(files.get('files/launch-kit.zip')).toBe('my own kit');
    expect(files.get('files/75-niches.pdf')).toBe(await ofDemo('files/75-niches.pdf'));
  });

  it('are those that lie with the demonstration where nobody has stored them: one own file had the rest refused', async () => {
    await t.dataSource.query(`delete from stored_file where file_name like 'launch-%'`);
    await upload('all about moss', 'moss.pdf').expect(303);
    const files = await delivered('fresh', (yaml) => yaml.replace('files/75-niches.pdf', 'files/moss.pdf'));
    expect(files.get('files/moss.pdf')).toBe('all about moss');
    expect(files.get('files/launch-kit.zip')).toBe(await ofDemo('files/launch-kit.zip'));
  });
});

describe('the dashboard of an installation without a funnel', () => {
  it('says how to begin, and each of its ways leads somewhere', async () => {
    await empty(t.dataSource, 'funnel');
    const page = await owner.get('/admin');
    const [, steps = ''] = /How to begin([\s\S]*)<\/ol>/.exec(page) ?? [];
    const ways = [...steps.matchAll(/href="([^"]+)"/g)].map(([, way = '']) => way);
    expect(ways.length).toBeGreaterThan(4);
    for (const way of ways) expect((await owner.get(way)).length).toBeGreaterThan(0);
  });
});
