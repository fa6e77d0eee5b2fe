import { linkIn, type TestApp, type TestMail } from '../../support/app.js';

export interface Reader {
  email: string;
  id: string;
  welcome: TestMail;
  /** Path of the link at the end of the welcome mail. */
  preferences: string;
}

/** Somebody who signed up, confirmed and got the welcome mail, all by the public pages. */
export async function newReader(
  t: TestApp,
  email: string,
  fields: object = {},
  cookie = '',
): Promise<Reader> {
  await t.http
    .post('/p/niches')
    .set('Cookie', cookie)
    .type('form')
    .send({ email, ...fields })
    .expect(200);
  await t.runDue();
  const confirmation = (await t.mailsTo(email)).at(-1) as TestMail;
  await t.http.post(linkIn(confirmation, /\/confirm\//)).expect(200);
  await t.runDue();
  const welcome = (await t.mailsTo(email)).at(-1) as TestMail;
  const rows: { id: string }[] = await t.dataSource.query('select id from subscriber where email_key = $1', [
    email,
  ]);
  return { email, id: rows[0]?.id ?? '', welcome, preferences: linkIn(welcome, /\/preferences\//) };
}

/** The pages' own form, as a browser sends it. */
export function preferencesForm(fields: { topics?: string[]; shown?: string[]; tracking?: boolean }): string {
  const form = new URLSearchParams({ form: 'preferences' });
  for (const key of fields.shown ?? ['niche-ebook']) form.append('shown', key);
  for (const key of fields.topics ?? []) form.append('topic', key);
  if (fields.tracking ?? false) form.append('trackingConsent', 'on');
  return form.toString();
}
