import { linkIn, type TestApp, type TestMail } from './app.js';

export interface Reader {
  email: string;
  id: string;
  welcome: TestMail;
  /** Paths of the links at the end of the welcome mail. */
  preferences: string;
  unsubscribe: string;
}

/** Somebody signs up and confirms, by the public pages. */
export async function joins(t: TestApp, email: string, fields: object = {}, cookie = ''): Promise<void> {
  await t.http
    .post('/p/niches')
    .set('Cookie', cookie)
    .type('form')
    .send({ email, ...fields })
    .expect(200);
  await t.runDue();
  const asked = (await t.mailsTo(email)).findLast(({ html }) => html.includes('/confirm/')) as TestMail;
  await t.http.post(linkIn(asked, /\/confirm\//)).expect(200);
}

/** Somebody who signed up, confirmed and got the welcome mail, all by the public pages. */
export async function newReader(
  t: TestApp,
  email: string,
  fields: object = {},
  cookie = '',
): Promise<Reader> {
  await joins(t, email, fields, cookie);
  await t.runDue();
  const welcome = (await t.mailsTo(email)).at(-1) as TestMail;
  const rows: { id: string }[] = await t.dataSource.query('select id from subscriber where email_key = $1', [
    email,
  ]);
  const [preferences, unsubscribe] = [linkIn(welcome, /\/preferences\//), linkIn(welcome, /\/u\//)];
  return { email, id: rows[0]?.id ?? '', welcome, preferences, unsubscribe };
}

/** The pages' own form, as a browser sends it. */
export function preferencesForm(fields: { topics?: string[]; shown?: string[]; tracking?: boolean }): string {
  const form = new URLSearchParams({ form: 'preferences' });
  for (const key of fields.shown ?? ['niche-ebook']) form.append('shown', key);
  for (const key of fields.topics ?? []) form.append('topic', key);
  if (fields.tracking ?? false) form.append('trackingConsent', 'on');
  return form.toString();
}
