import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { type OwnerPages, ownerPages } from '../../support/owner-pages.js';
import { newReader, type Reader } from '../../support/reader.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  owner = await ownerPages(t);
});
afterAll(async () => t.close());

const ask = ({ preferences }: Reader, email: string) =>
  t.http.post(`${preferences}/address`).type('form').send({ email });
const addressOf = async ({ id }: Reader): Promise<string> =>
  (
    (await t.http.get(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`).expect(200))
      .body as { email: string }
  ).email;
const lastTo = async (email: string): Promise<TestMail> => {
  await t.runDue();
  return (await t.mailsTo(email)).at(-1) as TestMail;
};
const asksThere = async (reader: Reader, email: string): Promise<string> => {
  await ask(reader, email)
    .expect(200)
    .expect(/Nothing is changed yet/);
  return linkIn(await lastTo(email), /\/new-address\//);
};

describe('a new address by the page of preferences', () => {
  it('is theirs once the button of the mail there is pressed, and the old one is told', async () => {
    const reader = await newReader(t, 'ada-old@example.com');
    const link = await asksThere(reader, 'ada-new@example.com');
    const asked = await lastTo('ada-new@example.com');
    expect(asked.text).not.toContain(reader.email);
    // Scanners open every link.
    await t.http.head(link).expect(200);
    const page = await t.http.get(link).expect(200);
    expect(page.text).toContain('a***@example.com');
    expect([await addressOf(reader), page.headers['referrer-policy']]).toEqual([reader.email, 'no-referrer']);
    t.clock.advance(23 * HOUR_MS);
    for (const _press of [1, 2]) {
      const done = await t.http.post(link).set('User-Agent', 'Firefox').expect(200);
      expect(done.text).toContain('Your address is changed');
    }
    expect(await addressOf(reader)).toBe('ada-new@example.com');
    const told = (await t.mailsTo(reader.email)).length;
    const notice = await lastTo(reader.email);
    expect(await t.mailsTo(reader.email)).toHaveLength(told + 1);
    expect(notice.subject).toBe('Your mails go to another address now');
    const evidence = await t.dataSource.query(
      `select kind, consent_text as words, page_url as page, user_agent as browser from consent_event where subscriber_id = $1 and purpose = 'address'`,
      [reader.id],
    );
    expect(evidence).toEqual([
      {
        kind: 'confirmed',
        words: 'Send my mails to ada-new@example.com, no longer to ada-old@example.com',
        page: 'new address page',
        browser: 'Firefox',
      },
    ]);
    // The links of mails that went to the old one go on working.
    await t.http.get(reader.preferences).expect(200);
    await t.http.post(reader.unsubscribe).expect(200);
  });

  it('tells nobody who types an address whether it is here, is blocked or is new', async () => {
    const [reader, other] = [
      await newReader(t, 'curious@example.com'),
      await newReader(t, 'here@example.com'),
    ];
    await t.http
      .post('/api/v1/suppressions')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ email: 'nope@example.com' })
      .expect(201);
    const answers: string[] = [];
    for (const email of [other.email, 'nope@example.com', 'fresh@example.com']) {
      const { text } = await ask(reader, email).expect(200);
      answers.push(text.replaceAll(email, 'X'));
    }
    expect(new Set(answers).size).toBe(1);
    await t.runDue();
    expect(await t.mailsTo('nope@example.com')).toEqual([]);
    expect((await t.mailsTo(other.email)).at(-1)?.id).toBe(other.welcome.id);
    expect(await t.mailsTo('fresh@example.com')).toHaveLength(1);
    // A fourth one that day.
    expect((await ask(reader, 'more@example.com').expect(200)).text).toContain('three times today');
    const wrong = await ask(reader, 'no <b>address').expect(422);
    expect(wrong.text).toContain('not an email address');
    expect(wrong.text).not.toContain('<b>address');
  });

  it('is refused at the press where somebody else has it by then, and where the link is old or another one', async () => {
    const reader = await newReader(t, 'late@example.com');
    const first = await asksThere(reader, 'first@example.com');
    const second = await asksThere(reader, 'second@example.com');
    await t.http.post(first).expect(410);
    await newReader(t, 'second@example.com');
    const taken = await t.http.post(second).expect(409);
    expect(taken.text).toContain('subscription of its own');
    const third = await asksThere(reader, 'third@example.com');
    await t.http.post(`${third}x`).expect(404);
    await t.http.post(third.replace('new-address', 'address-back')).expect(404);
    t.clock.advance(24 * HOUR_MS + 1_000);
    await t.http.post(third).expect(410);
    expect(await addressOf(reader)).toBe('late@example.com');
    await t.app.get(JobRunner).run('privacy.forget-asked-addresses');
    const left = await t.dataSource.query('select 1 from address_change where subscriber_id = $1', [
      reader.id,
    ]);
    expect(left).toEqual([]);
  });

  it('is taken back by the mail to the old one, and gives nobody the copy of the data meanwhile', async () => {
    const reader = await newReader(t, 'victim@example.com');
    await t.http.post(await asksThere(reader, 'thief@example.com')).expect(200);
    const back = linkIn(await lastTo(reader.email), /\/address-back\//);
    const asked = await t.http.post(`${reader.preferences}/export`).expect(200);
    expect(asked.text).toContain('v***@example.com');
    await t.runDue();
    expect((await t.mailsTo('thief@example.com')).some(({ html }) => html.includes('/my-data/'))).toBe(false);
    expect((await lastTo(reader.email)).html).toContain('/my-data/');
    await t.http.get(back).expect(200);
    expect(await addressOf(reader)).toBe('thief@example.com');
    expect((await t.http.post(back).expect(200)).text).toContain('Your old address is back');
    await t.http.post(back).expect(410);
    expect(await addressOf(reader)).toBe('victim@example.com');
    // Whoever holds the forwarded mail still.
    t.clock.advance(2 * DAY_MS);
    expect((await ask(reader, 'thief2@example.com').expect(200)).text).toContain('changed back lately');
    // What was asked about the new address is no proof of it a week later either.
    t.clock.advance(8 * DAY_MS);
    await t.http.post(back).expect(410);
  });

  it('is offered to nobody who complained', async () => {
    const reader = await newReader(t, 'spammed@example.com');
    await t.dataSource.query(`update subscriber set status = 'complained' where id = $1`, [reader.id]);
    expect((await t.http.get(reader.preferences).expect(200)).text).not.toContain('A new address');
    await ask(reader, 'elsewhere@example.com').expect(200);
    await t.runDue();
    expect(await t.mailsTo('elsewhere@example.com')).toEqual([]);
  });
});

describe('a new address by the owner’s page', () => {
  it('is changed at once with how they told, or asked for, and says what stands in the way', async () => {
    const reader = await newReader(t, 'phone@example.com');
    const path = `/admin/subscribers/${reader.id}/address`;
    expect(await owner.get(`/admin/subscribers/${reader.id}`)).toContain(`href="${path}"`);
    expect(await owner.get(path)).toContain('A new address');
    const taken = await owner.post(path, { email: 'ada-new@example.com', how: 'now' }).expect(422);
    expect(taken.text).toContain('There is a subscriber with this address');
    await owner.post(path, { email: 'nonsense', how: 'now' }).expect(422);
    const asked = await owner.post(path, { email: 'asked@example.com', how: 'asked' }).expect(200);
    expect(asked.text).toContain('A mail with a link is on its way');
    expect(await addressOf(reader)).toBe('phone@example.com');
    await owner.post(path, { email: 'told@example.com', how: 'now', note: 'by letter' }).expect(303);
    expect(await addressOf(reader)).toBe('told@example.com');
    expect(await owner.get(`/admin/subscribers/${reader.id}`)).toContain(
      'Send my mails to told@example.com, no longer to phone@example.com (by letter)',
    );
    // What was asked before has been overtaken.
    await t.http.post(linkIn(await lastTo('asked@example.com'), /\/new-address\//)).expect(410);
  });
});
