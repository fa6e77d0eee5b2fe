import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { boxed, ownerPages, plain, tokenIn, type OwnerPages } from '../../support/owner-pages.js';

const EDIT = '/admin/funnels/niche-ebook/edit';

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  owner = await ownerPages(t);
});
afterAll(async () => t.close());

const simulate = (key: string, body: object) =>
  t.http.post(`/api/v1/funnels/${key}/simulate`).set('Authorization', `Bearer ${API_KEY}`).send(body);

describe('what a funnel is made of, in the web app', () => {
  it('asks for what a choice for people lacks, beside it', async () => {
    const yaml = boxed(await owner.get(EDIT));
    const lacking = await owner.post(EDIT, { yaml, move: 'catch-up', action: 'apply' }).expect(422);
    expect(lacking.text).toMatch(/id="within"[^>]*aria-invalid/);
    expect(lacking.text).toMatch(/value="catch-up" checked/);
    const odd = await owner.post(EDIT, { yaml, move: 're-map', map: 'story', action: 'plan' }).expect(422);
    expect(odd.text).toMatch(/id="map-error">[^<]*story/);
    expect(boxed(odd.text, 'map')).toBe('story');
  });

  it('shows a text where it is opened, changes it by the same plan, and keeps it in versions', async () => {
    const yaml = boxed(await owner.get(EDIT));
    const typed = yaml.replace('button: Send me the guide', 'button: Still typed');
    const opened = await owner.post(EDIT, { yaml: typed, action: 'open:emails/story.mjml' }).expect(200);
    expect(boxed(opened.text)).toBe(typed);
    const story = boxed(opened.text, 'text:emails/story.mjml');
    expect(story).toContain('<mj-title>');
    const left = await owner
      .post(EDIT, { yaml, 'text:emails/story.mjml': story.replaceAll('\n', '\r\n'), action: 'plan' })
      .expect(200);
    expect(left.text).toContain('Nothing would change');

    const text = story.replace(/<mj-title>.*<\/mj-title>/, '<mj-title>Another subject</mj-title>');
    const form = { yaml, 'text:emails/story.mjml': text };
    const shown = await owner.post(EDIT, { ...form, action: 'preview:emails/story.mjml' }).expect(200);
    expect(shown.text).toContain('Another subject');
    expect(shown.headers['content-security-policy']).toContain('sandbox');
    const planned = await owner.post(EDIT, { ...form, action: 'plan' }).expect(200);
    expect(plain(planned.text)).toContain('its content changed');
    await owner.post(EDIT, { ...form, action: 'apply', token: tokenIn(planned.text) }).expect(303);
    const kept = await t.http
      .get('/api/v1/funnels/niche-ebook/export')
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(kept.text).toContain('Another subject');
    // A later change of something else keeps it, though the folder of templates has the old one.
    const later = await owner
      .post(EDIT, { yaml: yaml.replace('Send me the guide', 'Mail it'), action: 'plan' })
      .expect(200);
    expect(plain(later.text)).not.toContain('its content changed');
  });

  it('names the line of a text that cannot be read, and keeps it typed', async () => {
    const yaml = boxed(await owner.get(EDIT));
    const text = '<mjml><mj-body><mj-text>{{ nobody.knows }}</mj-text></mj-body></mjml>';
    const answer = await owner
      .post(EDIT, { yaml, 'text:emails/story.mjml': text, action: 'plan' })
      .expect(422);
    expect(plain(answer.text)).toContain('emails/story.mjml:1');
    expect(boxed(answer.text, 'text:emails/story.mjml')).toBe(text);
  });

  it('begins a mail that a step names and nobody has written', async () => {
    const now = boxed(await owner.get(EDIT));
    const yaml = now.replace(
      '    - key: pick',
      '    - key: more\n      email: emails/more\n      delay: 1 day\n    - key: pick',
    );
    const lacking = await owner.post(EDIT, { yaml, action: 'plan' }).expect(422);
    expect(plain(lacking.text)).toContain('there is no templates/emails/more.mjml');
    const text = boxed(lacking.text, 'text:emails/more.mjml');
    const form = { yaml, 'text:emails/more.mjml': text };
    const planned = await owner.post(EDIT, { ...form, action: 'plan' }).expect(200);
    await owner.post(EDIT, { ...form, action: 'apply', token: tokenIn(planned.text) }).expect(303);
    expect(await owner.get(EDIT)).toContain('open:emails/more.mjml');
  });

  it('is simulated as it is typed, here and by the API, before anything is applied', async () => {
    const now = boxed(await owner.get(EDIT));
    const yaml = now.replace('price: 49.00 EUR', 'price: 149.00 EUR');
    const shown = await owner.post(EDIT, { yaml, action: 'simulate' }).expect(200);
    expect(plain(shown.text)).toMatch(/In all: \d+ (person|people), \d+ mails/);
    expect(boxed(shown.text)).toBe(yaml);
    const wrong = yaml.replace('offer: launch-kit\n', 'offer: nothing\n');
    const refused = await owner.post(EDIT, { yaml: wrong, action: 'simulate' }).expect(422);
    expect(refused.text).toMatch(/Line \d+/);

    const priced = await simulate('niche-ebook', { yaml, days: 30 }).expect(200);
    const stored = await simulate('niche-ebook', { days: 30 }).expect(200);
    expect(priced.body.summary.mails).toBe(stored.body.summary.mails);
    expect(priced.body.summary.income[0].amountMinor).toBeGreaterThan(
      stored.body.summary.income[0].amountMinor,
    );
    expect(
      (await simulate('fresh', { yaml: yaml.replace('funnel: niche-ebook', 'funnel: fresh') })).status,
    ).toBe(200);
    const problems = await simulate('niche-ebook', { yaml: wrong }).expect(422);
    expect(problems.body).toMatchObject({ code: 'FUNNEL_INVALID' });
    expect(problems.body.detail).toMatch(/yaml:\d+: sequence\.steps\.\d\.offer/);
    expect((await simulate('other', { yaml }).expect(422)).body.code).toBe('FUNNEL_KEY_INVALID');
    expect((await simulate('other', {}).expect(404)).body.code).toBe('FUNNEL_NOT_FOUND');
    expect(boxed(await owner.get(EDIT))).toBe(now);
  });

  it('begins a new funnel from the demonstration, by the same road', async () => {
    const unnamed = await owner.post('/admin/new-funnel', { key: 'T ea', title: '' }).expect(422);
    expect(unnamed.text).toContain('id="key-error"');
    expect(unnamed.text).toContain('id="title-error"');
    expect(unnamed.text).toContain('value="t ea"');
    await owner.post('/admin/new-funnel', { key: 'niche-ebook', title: 'X' }).expect(422);
    const begun = await owner.post('/admin/new-funnel', { key: 'tea', title: 'Tea: "green"' }).expect(200);
    const yaml = boxed(begun.text);
    expect(yaml).toContain('product: tea-launch-kit');
    const NEW = '/admin/new-funnel/text';
    const planned = await owner.post(NEW, { yaml, action: 'plan' }).expect(200);
    const form = { yaml, action: 'apply', token: tokenIn(planned.text) };
    const taken = await owner
      .post(NEW, { ...form, yaml: yaml.replace('funnel: tea', 'funnel: niche-ebook') })
      .expect(422);
    expect(plain(taken.text)).toContain('there is a funnel "niche-ebook" already');
    const applied = await owner.post(NEW, form).expect(303);
    expect(applied.headers['location']).toBe('/admin/funnels/tea');
    expect(await owner.get('/admin/funnels')).toContain('/admin/funnels/tea"');
    await t.http.get('/p/tea').expect(200);
    await owner.post(NEW, form).expect(422);
  });

  it('shows each page as it would look, in a frame that runs no script, as it is typed', async () => {
    const yaml = boxed(await owner.get(EDIT)).replace('price: 49.00 EUR', 'price: 321.00 EUR');
    const preview = async (page: string, form: Record<string, string> = {}): Promise<string> => {
      const answer = await owner
        .post(EDIT, { yaml, ...form, action: `preview:pages/${page}.liquid` })
        .expect(200);
      expect(answer.headers['content-security-policy']).toMatch(/^sandbox; .*style-src 'self'/);
      expect(answer.headers['content-security-policy']).not.toContain('script');
      return plain(answer.text);
    };
    const words: [string, RegExp][] = [
      ['squeeze', /75 small markets[\s\S]*Send me the guide/],
      ['check-inbox', /reader@example\.com/],
      ['confirm', /75 niches that pay/],
      ['confirmed', /\.pdf/],
      ['offer', /321\.00/],
      ['checkout', /321\.00[\s\S]*value="reader@example\.com"/],
      ['upsell', /WS-000001/],
      ['declined', /did not go through/],
      ['thanks', /WS-000001[\s\S]*Download/],
    ];
    for (const [page, word] of words) expect(await preview(page)).toMatch(word);
    const typed = {
      'text:pages/declined.liquid': '<p>Not today, {{ footer.senderName }}</p><script>1</script>',
    };
    expect(await preview('declined', typed)).toContain('<p>Not today, ');
    const broken = { 'text:pages/declined.liquid': 'a\n{% if %}' };
    const refused = await owner
      .post(EDIT, { yaml, ...broken, action: 'preview:pages/declined.liquid' })
      .expect(422);
    expect(plain(refused.text)).toContain('pages/declined.liquid, line:2');
    await owner.post(EDIT, { yaml, action: 'preview:layouts/page.liquid' }).expect(422);
  });

  it('shows a page to sign up on with the fields that it asks for: they had neither names nor labels', async () => {
    await t.dataSource.query(
      `insert into subscriber_field (key, label, type, created_at) values ('hives', 'Hives', 'number', now())`,
    );
    const own = 'fields:\n  size: { type: choice, label: Size of the shed, choices: [small, large] }\n';
    const asked = '  fields: [size, { field: hives, label: How many hives, required: true }]\n';
    const yaml = boxed(await owner.get(EDIT)).replace(/^form:\n/m, `${own}form:\n${asked}`);
    const shown = await owner.post(EDIT, { yaml, action: 'preview:pages/squeeze.liquid' }).expect(200);
    expect(shown.text).toMatch(/for="field-size">Size of the shed <span[\s\S]*<option>large<\/option>/);
    expect(shown.text).toContain('for="field-hives">How many hives</label>');
    expect(shown.text).toMatch(/name="fields\.hives"[^>]*inputmode="decimal" required>/);
    await t.dataSource.query(`delete from subscriber_field where key = 'hives'`);
  });

  it('lets the mails and pages of a new funnel be looked at and changed before it is applied', async () => {
    const begun = await owner.post('/admin/new-funnel', { key: 'moss', title: 'Moss' }).expect(200);
    for (const path of ['emails/confirm.mjml', 'emails/story.mjml', 'pages/squeeze.liquid'])
      expect(begun.text).toContain(`value="open:${path}"`);
    // Without files: what they hold is nothing that a mail or page shows.
    const yaml = boxed(begun.text)
      .replace(/^ +leadMagnet: .*\n/m, '')
      .replace(/^ +delivers: .*\n/gm, '');
    const NEW = '/admin/new-funnel/text';
    const mail = await owner.post(NEW, { yaml, action: 'preview:emails/story.mjml' }).expect(200);
    expect(mail.text).toContain('Grace');
    const page = await owner.post(NEW, { yaml, action: 'preview:pages/squeeze.liquid' }).expect(200);
    expect(page.text).toContain('action="/p/moss"');
    const opened = await owner.post(NEW, { yaml, action: 'open:pages/squeeze.liquid' }).expect(200);
    const text = boxed(opened.text, 'text:pages/squeeze.liquid');
    const form = { yaml, 'text:pages/squeeze.liquid': text.replace('<h1', '<h1 id="mossy"') };
    expect(text).toContain('<h1');
    const planned = await owner.post(NEW, { ...form, action: 'plan' }).expect(200);
    await owner.post(NEW, { ...form, action: 'apply', token: tokenIn(planned.text) }).expect(303);
    expect((await t.http.get('/p/moss').expect(200)).text).toContain('<h1 id="mossy"');
    expect((await t.http.get('/p/niches').expect(200)).text).not.toContain('mossy');
  });

  it('judges fields when it is simulated as it is typed, as a plan does', async () => {
    const yaml = boxed(await owner.get(EDIT)).replace(
      '  steps:\n',
      '  steps:\n    - key: odd\n      if: { field: nowhere, op: is, value: x }\n      then: []\n',
    );
    const simulated = await owner.post(EDIT, { yaml, action: 'simulate' });
    const planned = await owner.post(EDIT, { yaml, action: 'plan' });
    expect([simulated.status, planned.status]).toEqual([422, 422]);
    for (const { text } of [simulated, planned]) expect(plain(text)).toMatch(/Line \d+[\s\S]*nowhere/);
  });

  it('says what the most is of a text that is larger, and keeps what it still can', async () => {
    const long = await owner.post(EDIT, { yaml: 'x'.repeat(1_200_000), action: 'plan' }).expect(422);
    expect(long.text).toContain('it has 1200000 characters, and 800000 are the most here');
    const huge = await owner
      .post(EDIT, { yaml: 'x'.repeat(5_300_000), action: 'plan' })
      .set('Accept', 'text/html')
      .expect(413);
    expect(huge.text).toContain(
      'What was sent is too large, and 5 MB are the most here; nothing was changed.',
    );
    const other = await owner.post('/admin/lists', { title: 'x'.repeat(1_100_000) }).expect(413);
    expect(other.body.detail).toContain('1 MB are the most here');
  });
});
