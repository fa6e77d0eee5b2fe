import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BounceIntake } from '../../../../src/bounces/bounce-intake.service.js';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { verpAddress } from '../../../../src/delivery/mails/verp.js';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { linkIn, startTestApp, type TestApp, type TestMail } from '../../../support/app.js';
import { backUp } from '../../../support/restored-backup.js';
import { report } from '../../../support/returned-mails.js';
import { newReader, type Reader } from '../../../support/reader.js';

const BOUNCE_DOMAIN = 'bounce.example.com';
const GONE = report({
  words: 'User unknown',
  fields:
    'Final-Recipient: rfc822; ada@example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown',
});

/**
 * Ada and Carl sign up after the backup was made, so it knows neither of them nor their mails. Bob and Bill sign up once
 * it is restored and a web process has started on it, before the owner has said anything.
 */
describe('what people do with mails that a restored backup does not know', () => {
  let t: TestApp;
  let guard: GenerationGuard;
  let ada: Reader;
  let lost: { id: string; messageId: string }[];
  let pending: string;
  let bob: Reader;
  let confirmed: { email: string }[];
  beforeAll(async () => {
    t = await startTestApp({ variables: { BOUNCE_DOMAIN } });
    guard = t.app.get(GenerationGuard, { strict: false });
    await t.runDue();
    const backup = await backUp(t.dataSource);
    ada = await newReader(t, 'ada@example.com');
    await t.http.post('/p/niches').type('form').send({ email: 'carl@example.com' }).expect(200);
    await t.runDue();
    lost = await mails();
    pending = linkIn((await t.mailsTo('carl@example.com')).at(-1) as TestMail, /\/confirm\//);
    // The beat after the backup, of which the data folder has the note.
    await t.dataSource.query(`update setting set value = value || '{"server": "12.5"}' where key = $1`, [
      'ledger.generation',
    ]);
    await t.runDue();
    await backup.restore();
    await guard.lookAtStart({ isWorker: false });
    for (const email of ['bob@example.com', 'bill@example.com'])
      await t.http.post('/p/niches').type('form').send({ email }).expect(200);
    await t.http.post(pending);
    confirmed = await t.dataSource.query(`select email from subscriber where status = 'active'`);
    await guard.confirm('keep');
    bob = await newReader(t, 'bob@example.com');
  });
  afterAll(async () => t.close());

  const mails = async (): Promise<{ id: string; messageId: string }[]> =>
    t.dataSource.query('select id, message_id_header as "messageId" from message order by id');
  const status = async (): Promise<string | undefined> => {
    const rows: { status: string }[] = await t.dataSource.query(
      `select status from subscriber where email_key = 'bob@example.com'`,
    );
    return rows[0]?.status;
  };

  it('a lost confirmation confirms nobody else’s sign-up', () => {
    expect(confirmed).toEqual([]);
  });

  it('no number of a mail comes back, nor its Message-ID', async () => {
    const now = await mails();
    expect([now.length, lost.length].every((count) => count > 0)).toBe(true);
    for (const key of ['id', 'messageId'] as const) {
      const before = new Set(lost.map((mail) => mail[key]));
      expect(now.filter((mail) => before.has(mail[key]))).toEqual([]);
    }
  });

  it('her page of preferences shows nobody else’s', async () => {
    const page = await t.http.get(ada.preferences);
    expect(page.text).not.toContain('b***');
    expect((await t.http.get(bob.preferences).expect(200)).text).toContain('b***');
  });

  it('a lost click leads nowhere, and counts for nobody', async () => {
    const hits = async (): Promise<unknown> => {
      await t.runDue();
      return t.dataSource.query('select message_id from tracking_event order by 1');
    };
    const before = await hits();
    await t.http.get(linkIn(ada.welcome, /\/c\//));
    expect(await hits()).toEqual(before);
  });

  it('a lost mail that bounces late ends nobody else', async () => {
    const { secretKey } = t.app.get<Config>(CONFIG, { strict: false });
    for (const { id } of lost)
      await t.app.get(BounceIntake, { strict: false }).receive({
        raw: Buffer.from(GONE),
        envelopeTo: [verpAddress(secretKey, id, BOUNCE_DOMAIN)],
        source: 'smtp',
        client: '127.0.0.1',
        sender: '',
      });
    expect(await status()).toBe('active');
  });

  it('the one-click of a lost mail ends nobody else, and does not say that it is done', async () => {
    const link = linkIn(ada.welcome, /\/u\//);
    const answer = await t.http.post(link).type('form').send({ 'List-Unsubscribe': 'One-Click' });
    expect([await status(), answer.status, answer.text]).toEqual([
      'active',
      404,
      'We do not know this mail any more.\n',
    ]);
    const page = await t.http.post(link).type('form').send({ from: 'page' }).expect(404);
    expect(page.text).toContain('Please reply to the mail');
  });
});
