import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { API_KEY, linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { untilWaiting } from '../../support/database.js';
import { newReader, type Reader } from '../../support/reader.js';

const DAY_MS = 86_400_000;

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const ask = ({ preferences }: Reader, email: string) =>
  t.http.post(`${preferences}/address`).type('form').send({ email });
const addressOf = async ({ id }: Reader): Promise<string | undefined> => {
  const rows: { email: string }[] = await t.dataSource.query('select email from subscriber where id = $1', [
    id,
  ]);
  return rows[0]?.email;
};
const lastTo = async (email: string): Promise<TestMail> => {
  await t.runDue();
  return (await t.mailsTo(email)).at(-1) as TestMail;
};
const asksThere = async (reader: Reader, email: string): Promise<string> => {
  await ask(reader, email).expect(200);
  return linkIn(await lastTo(email), /\/new-address\//);
};
const takes = async (reader: Reader, email: string): Promise<void> => {
  await t.http.post(await asksThere(reader, email)).expect(200);
};
const backIn = async (email: string): Promise<string> => linkIn(await lastTo(email), /\/address-back\//);
describe('whoever holds a forwarded mail', () => {
  it('does not come to the data by a second address of theirs, nor bars the first one from going back', async () => {
    const reader = await newReader(t, 'robbed@example.com');
    await takes(reader, 'hand@example.com');
    const back = await backIn(reader.email);
    await takes(reader, 'other-hand@example.com');
    await t.http.post(`${reader.preferences}/export`).expect(200);
    await t.http.post(`${reader.preferences}/erase`).expect(200);
    await t.runDue();
    for (const email of ['hand@example.com', 'other-hand@example.com'])
      expect((await t.mailsTo(email)).filter(({ html }) => /\/(my-data|erase)\//.test(html))).toEqual([]);
    expect((await t.mailsTo(reader.email)).filter(({ html }) => html.includes('/my-data/'))).toHaveLength(1);
    await t.http.post(back).expect(200);
    expect(await addressOf(reader)).toBe(reader.email);
    // Nor is what was taken back taken once more by the mail about the second one.
    await t.http.post(await backIn('hand@example.com')).expect(410);
    expect(await addressOf(reader)).toBe(reader.email);
  });

  it('does not come to the data by taking the second address back', async () => {
    const reader = await newReader(t, 'robbed-too@example.com');
    await takes(reader, 'left-hand@example.com');
    const back = await backIn(reader.email);
    await takes(reader, 'right-hand@example.com');
    await t.http.post(await backIn('left-hand@example.com')).expect(200);
    expect(await addressOf(reader)).toBe('left-hand@example.com');
    await t.http.post(`${reader.preferences}/export`).expect(200);
    expect((await lastTo(reader.email)).html).toContain('/my-data/');
    t.clock.advance(6 * DAY_MS);
    await t.http.post(back).expect(200);
    expect(await addressOf(reader)).toBe(reader.email);
  });

  it('does not come to the data where a program writes their address in small letters', async () => {
    const reader = await newReader(t, 'synced@example.com');
    await takes(reader, 'Synced-Away@example.com');
    const back = await backIn(reader.email);
    const spells = async (email: string) =>
      t.http
        .patch(`/api/v1/subscribers/${reader.id}`)
        .set('Authorization', `Bearer ${API_KEY}`)
        .send({ email })
        .expect(200);
    await spells('synced-away@example.com');
    await t.http.post(`${reader.preferences}/export`).expect(200);
    expect((await lastTo(reader.email)).html).toContain('/my-data/');
    expect(await t.mailsTo('synced-away@example.com')).toEqual([]);
    await t.http.post(back).expect(200);
    await spells('Synced@example.com');
    expect((await ask(reader, 'again@example.com').expect(200)).text).toContain('changed back lately');
  });

  it('is not told whether an address is here by what becomes of the link asked for before', async () => {
    const other = await newReader(t, 'member@example.com');
    const ends: number[] = [];
    for (const [n, email] of [other.email, 'nobody@example.com'].entries()) {
      const reader = await newReader(t, `asks-${n}@example.com`);
      const link = await asksThere(reader, `mine-${n}@example.com`);
      await ask(reader, email).expect(200);
      ends.push((await t.http.get(link)).status);
    }
    expect(ends).toEqual([410, 410]);
  });
});

describe('the first address', () => {
  const signsUp = async (email: string): Promise<string> => {
    await t.http.post('/p/niches').type('form').send({ email }).expect(200);
    const asked = await lastTo(email);
    return linkIn(asked, /\/confirm\//);
  };

  it('can be taken back after somebody has signed up with it: whoever typed it has not shown that it is theirs', async () => {
    const reader = await newReader(t, 'squatted@example.com');
    await takes(reader, 'squatter@example.com');
    const back = await backIn(reader.email);
    const confirm = await signsUp(reader.email);
    await t.http.post(back).expect(200);
    expect(await addressOf(reader)).toBe(reader.email);
    await t.http.post(confirm).expect(404);
    const left: unknown[] = await t.dataSource.query(
      `select 1 from consent_event e where not exists (select from subscriber s where s.id = e.subscriber_id)`,
    );
    expect(left).toEqual([]);
  });

  it('can be taken back by who has left by the link of an old mail in their fright, and stays left', async () => {
    const reader = await newReader(t, 'frightened@example.com');
    await takes(reader, 'frightening@example.com');
    const back = await backIn(reader.email);
    await t.http.post(reader.unsubscribe).expect(200);
    await t.http.post(back).expect(200);
    expect(await addressOf(reader)).toBe(reader.email);
    const [{ status }] = await t.dataSource.query<[{ status: string }]>(
      'select status from subscriber where id = $1',
      [reader.id],
    );
    expect(status).toBe('unsubscribed');
    expect(await t.app.get(SuppressionsService).of(reader.email)).toMatchObject([{ reason: 'unsubscribed' }]);
  });

  it('stays with a new subscription once that is confirmed by a mail there', async () => {
    const reader = await newReader(t, 'anew@example.com');
    await takes(reader, 'anew-there@example.com');
    const back = await backIn(reader.email);
    await t.http.post(await signsUp(reader.email)).expect(200);
    await t.http.post(back).expect(409);
    expect(await addressOf(reader)).toBe('anew-there@example.com');
  });
});

describe('a press that comes in while the sender changes the address', () => {
  const whileChanging = async (reader: Reader, link: string, email: string): Promise<number> => {
    const runner = t.dataSource.createQueryRunner();
    await runner.startTransaction();
    await runner.query('select 1 from subscriber where id = $1 for update', [reader.id]);
    const change = t.http
      .patch(`/api/v1/subscribers/${reader.id}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ email })
      .then(({ status }) => expect(status).toBe(200));
    await untilWaiting(t.dataSource, 1);
    const press = t.http.post(link).then(({ status }) => status);
    await untilWaiting(t.dataSource, 2);
    await runner.commitTransaction();
    await runner.release();
    await change;
    return press;
  };

  it('changes nothing: the link is of before', async () => {
    const reader = await newReader(t, 'moves@example.com');
    const link = await asksThere(reader, 'moves-there@example.com');
    expect(await whileChanging(reader, link, 'sender-says@example.com')).toBe(410);
    expect(await addressOf(reader)).toBe('sender-says@example.com');
  });

  it('takes nothing back', async () => {
    const reader = await newReader(t, 'takes-back@example.com');
    await takes(reader, 'takes-there@example.com');
    expect(await whileChanging(reader, await backIn(reader.email), 'sender-knows@example.com')).toBe(410);
    expect(await addressOf(reader)).toBe('sender-knows@example.com');
  });

  it('is one change where it is pressed twice at once', async () => {
    const reader = await newReader(t, 'twice@example.com');
    const link = await asksThere(reader, 'twice-there@example.com');
    const pressed = await Promise.all([1, 2, 3].map(async () => (await t.http.post(link)).status));
    expect(pressed).toEqual([200, 200, 200]);
    await t.runDue();
    expect(
      (await t.mailsTo(reader.email)).filter(({ html }) => html.includes('/address-back/')),
    ).toHaveLength(1);
  });
});
