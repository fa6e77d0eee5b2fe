import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { boxed, ownerPages, plain, tokenIn, type OwnerPages } from './owner-pages.js';

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
    expect(applied.headers['location']).toBe('/admin/funnels/tea/history');
    expect(await owner.get('/admin/funnels')).toContain('/admin/funnels/tea"');
    await t.http.get('/p/tea').expect(200);
    await owner.post(NEW, form).expect(422);
  });
});
