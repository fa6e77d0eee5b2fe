import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { newReader } from '../../support/reader.js';
import { boxed, type OwnerPages, ownerPages } from '../../support/owner-pages.js';

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  owner = await ownerPages(t);
});
afterAll(async () => t.close());

const BODY = `Hi {{ subscriber.firstName | default: 'there' }},

# The <first> frost

It came on **Tuesday**, *early*. 2 < 3 & 4 > 1
and [the shed](https://example.com/shed?a=1&b="2") is cold.

- wrap the hives
- feed [nothing](https://example.com/feed)

[Read it all](https://example.com/frost)`;
const MAIL = { subject: 'The first frost & you', preview: 'Before Sunday', body: BODY };

describe('mails that are written in the web app', () => {
  it('is shown with examples of what a program gives, where it prints that: it was shown with empty places', async () => {
    const body =
      'Your code is **{{ data.code }}**: [log in]({{ data.url }}){% for one in data.lines %} {{ one.name }}{% endfor %}';
    const shown = await owner.post('/admin/mails', { ...MAIL, body, action: 'preview' }).expect(200);
    expect(shown.text).toContain('<strong>example</strong>');
    expect(shown.text).toMatch(/href="http[^"]+"[^>]*>log in/);
  });

  it('are shown as they will look before they are kept', async () => {
    const shown = await owner.post('/admin/mails', { ...MAIL, action: 'preview' }).expect(200);
    expect(shown.headers['content-security-policy']).toContain('sandbox');
    const html = shown.text;
    expect(html).toContain('<p>Hi Grace,</p>');
    expect(html).toContain('The &lt;first&gt; frost');
    expect(html).toContain('<strong>Tuesday</strong>, <em>early</em>. 2 &lt; 3 &amp; 4 &gt; 1<br');
    expect(html).toMatch(/<li>feed <a href="https:\/\/example\.com\/feed">nothing<\/a><\/li>/);
    expect(html).toMatch(/<a[^>]*href="https:\/\/example\.com\/frost"[^>]*>\s*Read it all/);
    expect(await owner.get('/admin/mails')).toContain('No mail yet.');
  });

  it('refuse what cannot be sent at its field, and keep what was typed', async () => {
    const empty = await owner.post('/admin/mails', { subject: '', body: '', action: 'keep' }).expect(422);
    expect(empty.text).toContain('<a href="#subject">Subject: give it a subject</a>');
    expect(empty.text).toContain('<a href="#body">The mail: write something</a>');
    const broken = await owner
      .post('/admin/mails', { ...MAIL, body: 'Hi {{ subscriber.name', action: 'keep' })
      .expect(422);
    expect(broken.text).toContain('id="body-error"');
    expect(boxed(broken.text, 'body')).toBe('Hi {{ subscriber.name');
  });

  it('refuse more than they may hold, by its number, and keep all of it: the rest was cut away without a word', async () => {
    const body = `${'x'.repeat(100_000)} the end`;
    const long = await owner.post('/admin/mails', { ...MAIL, body, action: 'keep' }).expect(422);
    expect(long.text).toContain('The mail: it has 100,008 characters, and 100,000 are the most');
    expect(boxed(long.text, 'body')).toBe(body);
    const lines = { subject: 's'.repeat(201), preview: 'p'.repeat(202) };
    const wide = await owner.post('/admin/mails', { ...MAIL, ...lines, action: 'preview' }).expect(422);
    expect(wide.text).toContain('Subject: it has 201 characters, and 200 are the most');
    expect(wide.text).toMatch(/id="preview-error">it has 202 characters/);
    expect(await owner.get('/admin/mails')).toContain('No mail yet.');
  });

  it('are sent as a broadcast to a segment, to each reader by name, with the link to leave', async () => {
    const reader = await newReader(t, 'rita@example.com', { name: 'Rita' });
    const other = await newReader(t, 'otto@example.com', { name: 'Otto' });
    const conditions = { field: 'email', op: 'is', value: 'rita@example.com' };
    await t.http
      .post('/api/v1/segments')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ key: 'rita', title: 'Rita', conditions })
      .expect(201);
    await owner.post('/admin/mails', { ...MAIL, action: 'keep' }).expect(303);
    await owner.post('/admin/mails', { ...MAIL, action: 'keep' }).expect(303);
    const list = await owner.get('/admin/mails');
    expect(list).toContain('written/the-first-frost-you-2');
    const form = await owner.get('/admin/broadcasts/new?mail=written%2Fthe-first-frost-you');
    expect(form).toMatch(/<option value="written\/the-first-frost-you" selected>/);
    const made = await owner.post('/admin/broadcasts', {
      ...{ title: 'Frost', template: 'written/the-first-frost-you', audience: 'some', segmentsAny: 'rita' },
      ...{ senderName: 'Ada', senderEmail: 'ada@example.com', senderPostalAddress: '1 Road, Town' },
    });
    expect(made.status).toBe(303);
    const page = String(made.headers['location']);
    expect(await owner.get(`${page}/preview`)).toContain('The &lt;first&gt; frost');
    await owner.post(`${page}/start`, { when: 'now' }).expect(303);
    for (let turn = 0; turn < 3; turn += 1) {
      await t.app.get(JobRunner).run('broadcasts.plan');
      await t.runDue();
    }
    const mail = (await t.mailsTo(reader.email)).at(-1) as TestMail;
    expect(mail.subject).toBe('The first frost & you');
    expect(mail.html).toContain('<p>Hi Rita,</p>');
    expect(mail.html).toMatch(/\/(u|unsubscribe|preferences)\//);
    expect(mail.text).toContain('wrap the hives');
    expect((await t.mailsTo(other.email)).at(-1)?.subject).not.toBe('The first frost & you');
  });

  it('are changed and removed, unless a broadcast that is not over is made of them', async () => {
    const list = await owner.get('/admin/mails');
    const [, id = ''] = /href="\/admin\/mails\/(\d+)">/.exec(list) ?? [];
    const edit = await owner.get(`/admin/mails/${id}`);
    expect(boxed(edit, 'body')).toBe(BODY);
    await owner.post(`/admin/mails/${id}`, { ...MAIL, subject: 'Thaw', action: 'keep' }).expect(303);
    expect(await owner.get('/admin/mails')).toContain('Thaw');
    await owner
      .post('/admin/broadcasts', {
        ...{ title: 'Thaw it', template: 'written/the-first-frost-you-2', audience: 'everybody' },
        ...{
          senderName: 'Ada',
          senderEmail: 'ada@example.com',
          senderPostalAddress: '1 Road, Town',
        },
      })
      .expect(303);
    const refused = await owner.post(`/admin/mails/${id}/remove`, {}).expect(409);
    expect(refused.text).toContain('It is the mail of “Thaw it”');
    await owner.post('/admin/mails', { subject: 'Arm', body: 'x', action: 'keep' }).expect(303);
    const [, arm = ''] = /href="\/admin\/mails\/(\d+)">Arm/.exec(await owner.get('/admin/mails')) ?? [];
    await t.dataSource.query(
      `update broadcast set split = '{"arms": [{"key": "a"}, {"key": "b", "template": "written/arm"}]}' where title = 'Thaw it'`,
    );
    const ofArm = await owner.post(`/admin/mails/${arm}/remove`, {}).expect(409);
    expect(ofArm.text).toContain('It is the mail of “Thaw it”');
    await owner.post('/admin/mails', { subject: 'Gone', body: 'x', action: 'keep' }).expect(303);
    const [, gone = ''] = /href="\/admin\/mails\/(\d+)">Gone/.exec(await owner.get('/admin/mails')) ?? [];
    await owner.post(`/admin/mails/${gone}/remove`, {}).expect(303);
    await t.http.get(`/admin/mails/${gone}`).set('Cookie', owner.cookie).expect(404);
  });
});
