import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { newReader } from '../../support/reader.js';
import { type OwnerPages, ownerPages } from '../../support/owner-pages.js';

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp({ baseUrl: 'http://127.0.0.1:9' });
  owner = await ownerPages(t);
  await newReader(t, 'rita@example.com', { name: 'Rita' });
});
afterAll(async () => t.close());

const BODY = 'Hi,\n\nthe frost came early.\n\nYour {{ subscriber.fields.colour }} hive is cold.';
const MAIL = { subject: 'Frost', preview: 'Soon', body: BODY };

async function kept(mail: typeof MAIL): Promise<string> {
  await owner.post('/admin/mails', { ...mail, action: 'keep' }).expect(303);
  const id = new RegExp(`href="/admin/mails/(\\d+)">${mail.subject}`).exec(
    await owner.get('/admin/mails'),
  )?.[1];
  return id ?? '';
}

const draftOf = (template: string, subject = '') => ({
  ...{ title: 'News', template, subject, audience: 'everybody' },
  ...{ senderName: 'Ada', senderEmail: 'ada@example.com', senderPostalAddress: '1 Road, Town' },
});

async function broadcastOf(template: string, subject = ''): Promise<string> {
  const made = await owner.post('/admin/broadcasts', draftOf(template, subject));
  return String(made.headers['location']);
}

describe('what is wrong with a mail that was written in the web app', () => {
  it('is named by its subject and the line of the form where it stands, with the way there', async () => {
    const id = await kept(MAIL);
    const page = await broadcastOf('written/frost');
    const checked = await owner.get(`${page}?check=1`);
    expect(checked).toMatch(new RegExp(`<a href="/admin/mails/${id}#body">line 5 of “Frost”</a>`));
    expect(checked).not.toContain('templates/written');
    const refused = await owner.post(`${page}/start`, { when: 'now' });
    expect(refused.text).toContain('line 5 of “Frost”: it prints {{ subscriber.fields.colour }}');
    expect(refused.text).not.toContain('templates/written');
    const broadcast = page.split('/').at(-1);
    const report = await t.http
      .post(`/api/v1/broadcasts/${broadcast}/preflight`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(report.body.findings).toContainEqual(
      expect.objectContaining({
        check: 'audience',
        mail: { subject: 'Frost', field: 'body', line: 5, edit: `/admin/mails/${id}` },
      }),
    );
    expect(JSON.stringify(report.body.findings)).not.toContain('.mjml');
  });

  it.each(['Dear {{ subscriber.name', 'Dear {{ subscriber.name | shout }}'])(
    'is not looked for in the form of the mail when the broadcast’s own subject is wrong: %s',
    async (subject) => {
      const fine = {
        ...MAIL,
        subject: 'Thaw',
        body: 'Hi,\n\nthe frost is gone, and all the hives are well.',
      };
      if (!(await owner.get('/admin/mails')).includes('Thaw')) await kept(fine);
      const refused = await owner.post('/admin/broadcasts', draftOf('written/thaw', subject)).expect(422);
      expect(refused.text).toMatch(
        /id="subject-error">the broadcast’s own subject: (?:output|undefined filter)/,
      );
      expect(refused.text).not.toContain('the subject of “Thaw”');
    },
  );

  it('links to no form either for a variable in the broadcast’s own subject that readers do not have', async () => {
    const body = 'Hi,\n\nthe thaw has come, and all the hives are well.';
    await kept({ ...MAIL, subject: 'Melting', body });
    const page = await broadcastOf('written/melting', 'Your {{ subscriber.fields.colour }} hive');
    const checked = await owner.get(`${page}?check=1`);
    expect(checked).toMatch(
      /subscriber\.fields\.colour[^<]*<span class="small muted break">the broadcast’s own subject</,
    );
    const report = await t.http
      .post(`/api/v1/broadcasts/${page.split('/').at(-1)}/preflight`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(report.body.findings).toContainEqual(
      expect.objectContaining({ mail: { subject: 'Melting', ownSubject: true } }),
    );
  });

  it.each([
    [{ body: 'Hi,\n\n{% if subscriber.name %}you' }, /id="body-error">line 3: tag .* not closed/],
    [{ body: 'Hi {{ subscriber.name | shout }}' }, /id="body-error">line 1: undefined filter: shout/],
    [{ preview: 'Soon {{ subscriber.name' }, /id="preview-error">output .* not closed/],
    [{ subject: 'Dear {{ subscriber.name' }, /id="subject-error">output .* not closed/],
    [
      { body: 'Hi\n\n[look](https://ada@x.test/)' },
      /id="body-error">line 3: this link is refused: https:\/\/ada@x\.test/,
    ],
  ])('is said at the field of the form that it stands in: %o', async (change, expected) => {
    const broken = await owner.post('/admin/mails', { ...MAIL, ...change, action: 'keep' }).expect(422);
    expect(broken.text).toMatch(expected);
  });
});
