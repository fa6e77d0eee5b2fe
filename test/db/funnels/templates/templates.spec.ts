import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FunnelPreflightService } from '../../../../src/funnels/templates/funnel-preflight.service.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { parsePlanTokens } from '../../../../src/funnels/changes/plan-token.js';
import { API_KEY } from '../../../support/app.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';
import { empty } from '../../../support/database.js';

const PAGE = `{% layout 'layouts/own' %}{% block content %}<h1>{{ form.headline }}</h1>
<form method="post"><input name="email"><p>{{ form.consent }}</p></form>{% endblock %}`;
const LAYOUT = '<html><body>{% block content %}{% endblock %}</body></html>';
const letter = (words: string): string => `<mjml><mj-head><mj-title>${words}</mj-title></mj-head>
<mj-body><mj-section><mj-column><mj-text>${words}</mj-text></mj-column></mj-section>
<mj-include path="../layouts/own-foot.mjml" /></mj-body></mjml>`;
const FOOT =
  '<mj-section><mj-column><mj-text><a href="{{ unsubscribeUrl }}">Leave</a> {{ sender.postalAddress }}</mj-text></mj-column></mj-section>';

describe('the texts of mails and pages', () => {
  let t: Course;
  let folder: string;
  beforeAll(async () => {
    t = await openCourse();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'templates-'));
    await mkdir(join(folder, 'own'));
    await write({ 'page.liquid': PAGE, 'layout.liquid': LAYOUT, 'letter.mjml': letter('First words') });
    await write({ 'foot.mjml': FOOT, 'long.liquid': 'x'.repeat(400_001) });
  });
  afterEach(async () => {
    await t.clear();
    await rm(folder, { recursive: true });
  });
  afterAll(async () => t?.test.close());

  const write = async (files: Record<string, string>): Promise<void> => {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, 'own', name), text);
  };
  const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
  const mail = (key: string): string => `- { key: ${key}, email: emails/own, delay: 1 day }`;
  const OWN = `templates:
  pages/own.liquid: { file: own/page.liquid }
  layouts/own.liquid: { file: own/layout.liquid }
  emails/own.mjml: { file: own/letter.mjml }
  layouts/own-foot.mjml: { file: own/foot.mjml }
`;
  const YAML = `${funnelText(`${mail('a')}\n${mail('b')}`).replace('slug: course,', 'slug: course, template: pages/own,')}${OWN}`;
  const file = async (yaml = YAML): Promise<string> => {
    await writeFile(join(folder, 'course.yaml'), yaml);
    return join(folder, 'course.yaml');
  };
  const page = async (path = '/p/course'): Promise<string> => (await t.test.http.get(path).expect(200)).text;
  const subjects = async (): Promise<string[]> => {
    const rows: { subject: string }[] = await t.db.query(
      `select t.subject from message m join email_template t on t.id = m.email_template_id order by m.id`,
    );
    return rows.map(({ subject }) => subject);
  };

  /** As if the funnel had been applied before texts were kept. */
  const forgetTexts = async (): Promise<void> => {
    const without = `definition = definition::jsonb - 'templates' || jsonb_build_object('sources', definition::jsonb -> 'sources' || '{"emails/story": "of then"}')`;
    await t.db.query(`update funnel set ${without}`);
    await t.db.query(`update funnel_version set ${without}, parts = parts - 'texts'`);
    await t.db.query(`update form set content = content - 'pages'`);
  };

  it('belong to the funnel: a page that was changed was in no plan, in no version and in no rollback', async () => {
    await funnels().applyFile(await file());
    expect(await page()).toBe(
      '<html><body><h1>Get it</h1>\n<form method="post"><input name="email"><p>Send it to me</p></form></body></html>',
    );
    await t.enroll(await t.person('one@example.com'));
    await t.at('2026-01-06T09:00:00Z');
    expect((await funnels().planFile(await file())).words).toEqual([]);

    await write({
      'layout.liquid': LAYOUT.replace('<body>', '<body>New: '),
      'letter.mjml': letter('Others'),
    });
    const plan = await funnels().planFile(await file());
    expect(plan.words).toEqual([
      '~ email emails/own: its content changed',
      '~ page pages/own: what it includes changed: layouts/own.liquid',
      'people of sequence course: 1 stays in the version they joined; in the new one, forward-only:',
      '    1 is past step a',
      '    1 is before step b',
    ]);
    expect(await page()).not.toContain('New: ');
    const tokens = parsePlanTokens(plan.token) ?? undefined;
    await write({ 'page.liquid': PAGE.replace('<h1>', '<h1>Sneaked in ') });
    await expect(funnels().applyFile(await file(), { tokens })).rejects.toThrow(
      'a template or file that it names, is not the one that was planned',
    );
    await write({ 'page.liquid': PAGE });
    await funnels()
      .applyFile(await file(), { tokens, move: { mode: 'forward-only' } })
      .catch(() => null);
    await funnels().applyFile(await file(), { tokens });
    expect(await page()).toContain('<body>New: <h1>Get it</h1>');

    const back = await funnels().rollback('course', { dryRun: false, move: { mode: 'forward-only' } });
    expect(back.words.slice(0, 2)).toEqual(plan.words.slice(0, 2));
    expect(await page()).not.toContain('New: ');
    await t.at('2026-01-07T09:00:00Z');
    expect(await subjects()).toEqual(['First words', 'First words']);
  });

  it('are exported, and applied to an empty database they give the same pages, mails and bytes', async () => {
    const odd = `  lead\t\r\n---\n# no comment\n...\n"quoted" 'so' \u00e9\u{1f600} {{ form.headline }}   \n\n\n`;
    await write({ 'page.liquid': `${odd}${PAGE}` });
    await funnels().applyFile(await file());
    const before = { page: await page(), export: await funnels().export('course') };
    expect(before.export).toContain('<mj-title>First words</mj-title>');
    expect(before.export).toContain('layouts/own-foot.mjml');
    await t.clear();
    await empty(t.db, 'offer, email_template, template_text');
    await funnels().apply(before.export, null, 'export.yaml');
    expect({ page: await page(), export: await funnels().export('course') }).toEqual(before);
    expect((await funnels().planFile(await file())).words).toEqual([]);
    const short = await t.test.http
      .get('/api/v1/funnels/course/export?templates=false')
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(short.text).not.toContain('templates:');
    // Without them the mails and pages are those of the folder, which has none of these.
    await expect(funnels().apply(short.text, null, 'short.yaml')).rejects.toThrow('there is no templates/');
  });

  it('stay when another object of the funnel is written by the API, and are checked before the first mail', async () => {
    await funnels().applyFile(await file());
    const before = await page();
    const answer = await t.test.http
      .put('/api/v1/products/extra')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ funnel: 'course', name: 'Extra', price: { amountMinor: 100, currency: 'EUR' } });
    expect(answer.body.words).toEqual(['+ product extra']);
    expect(await page()).toBe(before);
    const preflight = await t.test.app.get(FunnelPreflightService, { strict: false }).check('course');
    expect(preflight.mails.find(({ template }) => template === 'emails/own')).toMatchObject({
      kind: 'sequence',
    });
    expect(JSON.stringify(preflight.mails)).not.toContain('there is no templates/');
  });

  it('of before they were kept are kept from the next change on, and a rollback behind it says whose pages it has', async () => {
    const plain = funnelText('- { key: a, email: emails/story, delay: 1 day }');
    await funnels().apply(plain, null, 'course.yaml');
    await forgetTexts();
    expect(await page()).toContain('Get it');
    expect(await funnels().export('course')).not.toContain('templates:');
    const words = [
      '~ email emails/story: its content changed',
      '~ funnel course: the texts of its mails and pages are kept with it from now on',
    ];
    expect((await funnels().apply(plain, null, 'course.yaml')).words).toEqual(words);
    expect((await funnels().plan(plain, null, 'course.yaml')).words).toEqual([]);
    const own = plain.replace('headline: Get it', 'headline: Take it');
    await funnels().apply(own, null, 'course.yaml');
    const back = await funnels().rollback('course', { to: 1, dryRun: false });
    expect(back.words).toEqual([
      'Version 1 was applied before pages were kept with a version: its pages are those of now',
      '~ form course: headline Take it → Get it',
    ]);
    expect(await page()).toContain('Get it');
    expect(await funnels().export('course')).toContain('pages/squeeze.liquid: |');
  });

  it('of now that a version of before they were kept is not made of, are not in its export, which was refused for them', async () => {
    await funnels().apply(funnelText('- { key: a, email: emails/story, delay: 1 day }'), null, 'course.yaml');
    await forgetTexts();
    await funnels().applyFile(await file());
    await funnels().rollback('course', { to: 1, dryRun: false });
    const exported = await funnels().export('course');
    expect(exported).not.toContain('layouts/own-foot');
    await funnels().apply(exported, null, 'export.yaml');
    expect((await funnels().plan(exported, null, 'export.yaml')).words).toEqual([]);
    expect(await funnels().export('course')).toContain('pages/squeeze.liquid: |');
  });

  it.each<[string, (yaml: string) => string, string]>([
    [
      'a text that nothing uses',
      (yaml) => `${yaml}  emails/none.mjml: x\n`,
      'templates.emails/none.mjml: no mail or page',
    ],
    [
      'a file that is not there',
      (yaml) => yaml.replace('own/foot', 'own/none'),
      'course.yaml:18: templates.layouts/own-foot.mjml.file: there is no file own/none.mjml',
    ],
    [
      'a file outside',
      (yaml) => yaml.replace('own/foot', '../foot'),
      'templates.layouts/own-foot.mjml.file: use a path below',
    ],
    [
      'a name that leads out',
      (yaml) => yaml.replace('layouts/own-foot.mjml:', '../own-foot.mjml:'),
      '../own-foot.mjml: use the path below templates/',
    ],
    [
      'a page that nobody can sign up on',
      (yaml) => yaml.replace('{ file: own/page.liquid }', 'nothing'),
      'no page to sign up on',
    ],
    [
      'a page that Liquid cannot read',
      (yaml) => yaml.replace('{ file: own/layout.liquid }', '"\\n{% if %}"'),
      'form.template: templates/layouts/own.liquid:',
    ],
    [
      'a page whose layout is not there',
      (yaml) => yaml.replace(/ {2}layouts\/own.liquid.*\n/, ''),
      'templates/pages/own.liquid names templates/layouts/own.liquid, which is not there',
    ],
    [
      'a part of a page that is too long to be exported and applied again',
      (yaml) =>
        yaml.replace('{ file: own/layout.liquid }', JSON.stringify(`${LAYOUT}{% render 'parts/long' %}`)) +
        '  parts/long.liquid: { file: own/long.liquid }\n',
      'form.template: templates/parts/long.liquid has 400001 characters; 400000 are the most',
    ],
    [
      'a layout whose part is not there, by the name of the layout: that of the page was given',
      (yaml) => yaml.replace('{ file: own/layout.liquid }', `"{% render 'parts/none' %}"`),
      'templates/layouts/own.liquid names templates/parts/none.liquid, which is not there',
    ],
    [
      'a page that names what lies outside of templates/, which an export would give back',
      (yaml) =>
        yaml.replace('{ file: own/page.liquid }', JSON.stringify(`${PAGE}{% render '../../package.json' %}`)),
      'form.template: templates/pages/own.liquid names ../package.json, which leaves the folder templates',
    ],
    [
      'a mail that is broken',
      (yaml) => yaml.replace('{ file: own/letter.mjml }', '<mjml><mj-body>'),
      'templates/emails/own.mjml:1',
    ],
    [
      'a mail that includes what is not there',
      (yaml) => yaml.replace(/ {2}layouts\/own-foot.*\n/, ''),
      'mj-include names a file that is not there: ../layouts/own-foot.mjml',
    ],
  ])('are refused where they are wrong, and nothing changes: %s', async (_, damage, message) => {
    const damaged = damage(YAML);
    expect(damaged).not.toBe(YAML);
    await expect(funnels().applyFile(await file(damaged))).rejects.toThrow(message);
    expect(await t.db.query('select key from funnel')).toEqual([]);
  });

  it('are refused by the field that is too long, whatever its letters: a file in Cyrillic was no body at all', async () => {
    const answer = await t.test.http
      .put('/api/v1/funnels/course')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ yaml: '\u0436'.repeat(800_001) });
    expect([answer.status, JSON.stringify(answer.body)]).toEqual([
      422,
      expect.stringContaining('at most 800000 characters; apply larger files by the command'),
    ]);
  });

  it('may be empty: an export with one was refused', async () => {
    await write({ 'layout.liquid': `${LAYOUT}{% render 'parts/empty' %}`, 'empty.liquid': '' });
    await funnels().applyFile(await file(`${YAML}  parts/empty.liquid: { file: own/empty.liquid }\n`));
    const exported = await funnels().export('course');
    expect(exported).toContain('  parts/empty.liquid:');
    expect((await funnels().apply(exported, null, 'export.yaml')).words).toEqual([]);
  });

  it('come with the request itself: a request has no folder', async () => {
    await expect(funnels().apply(YAML, null, 'yaml')).rejects.toThrow(
      'own/page.liquid is not at hand, as a request carries no files; write the text itself here',
    );
    expect(await readFile(await file(), 'utf8')).toBe(YAML);
  });
});
