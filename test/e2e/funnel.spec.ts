import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../src/funnels/funnels.service.js';
import { readLicenceKey } from '../../src/orders/licence-key.js';
import { API_KEY, linkIn, startTestApp, type TestApp, type TestMail } from '../support/app.js';

const READER = 'reader@example.com';
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

describe('from squeeze page to sale', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());

  const get = (path: string) => t.http.get(path).set('User-Agent', BROWSER).set('Accept', 'text/html');
  const post = (path: string, fields: Record<string, string>) =>
    t.http.post(path).set('User-Agent', BROWSER).set('Accept', 'text/html').type('form').send(fields);
  const subjects = async (): Promise<string[]> => (await t.mailsTo(READER)).map(({ subject }) => subject);
  const lastMail = async (): Promise<TestMail> => {
    const mail = (await t.mailsTo(READER)).at(-1);
    if (!mail) throw new Error('no mail came');
    return mail;
  };
  /** Moves the clock to the next due step and runs it. */
  const skipAhead = async (): Promise<void> => {
    const rows: { at: Date | null }[] = await t.dataSource.query(
      `select min(next_at) as at from enrollment where status = 'active'`,
    );
    if (rows[0]?.at) t.clock.set(rows[0].at);
    await t.runDue();
  };

  it('shows the squeeze page and refuses a bad address, keeping what was typed', async () => {
    await get('/p/niches').expect(200).expect(/<form/);
    const refused = await post('/p/niches', { email: 'not-an-address' }).expect(422);
    expect(refused.text).toContain('not-an-address');
  });

  it('sends a confirmation mail, and opening its link changes nothing', async () => {
    await post('/p/niches', { email: READER }).expect((r) => expect([200, 303]).toContain(r.status));
    await t.runDue();
    const confirm = linkIn(await lastMail(), /\/confirm\//);
    await get(confirm)
      .expect(200)
      .expect(/<button/);
    await t.http.head(confirm).expect(200);
    expect(await subscriberStatus()).toBe('pending');
  });

  it('confirms by the button and sends the welcome mail with the lead magnet', async () => {
    const confirm = linkIn(await lastMail(), /\/confirm\//);
    await post(confirm, {}).expect(200);
    await post(confirm, {}).expect(200);
    expect(await subscriberStatus()).toBe('active');
    await t.runDue();
    expect(await subjects()).toHaveLength(2);
    const welcome = await lastMail();
    expect(welcome.text.length).toBeGreaterThan(200);
    expect(welcome.headers).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: expect.stringMatching(/^list-unsubscribe-post$/i) }),
      ]),
    );
    await get(linkIn(welcome, /\/o\/.*\.gif/))
      .expect(200)
      .expect('content-type', /gif/);
    const click = await get(await clickTo(welcome, /\/download\//)).expect(302);
    const pdf = await get(pathOf(click.headers.location)).expect(200).expect('content-type', /pdf/);
    expect(pdf.body.subarray(0, 5).toString()).toBe('%PDF-');
  });

  it('walks the timed sequence to the offer, by the branch of those who clicked', async () => {
    await skipAhead();
    const story = await lastMail();
    await get(await clickTo(story, /^https?:/)).expect(302);
    for (let step = 0; step < 6 && !(await offerArrived()); step++) await skipAhead();
    const steps: { step: string }[] = await t.dataSource.query(
      `select step_key as step from message where kind = 'sequence' order by id`,
    );
    expect(steps.map(({ step }) => step)).toEqual(['welcome', 'story', 'deep-dive', 'offer']);
  });

  it('leads from the offer mail to the checkout and sells once, however often Pay is pressed', async () => {
    const offerMail = await lastMail();
    const click = await get(await clickTo(offerMail, /\/offer\//)).expect(302);
    const offerPage = await get(pathOf(click.headers.location)).expect(200);
    expect(offerPage.text).toContain('34.30');
    const checkout =
      /href="([^"]*\/checkout\/[^"]*)"/.exec(offerPage.text)?.[1]?.replaceAll('&amp;', '&') ?? '';
    const form = await get(pathOf(checkout)).expect(200);
    const hidden = /name="m"[^>]*value="([^"]*)"/.exec(form.text)?.[1] ?? '';
    const pending = await post('/checkout/launch-kit', {
      email: READER,
      name: 'Rita Reader',
      m: hidden,
    }).expect(303);
    const payPath = pathOf(pending.headers.location);
    await get(payPath).expect(200).expect(/test/i);
    const [first] = await Promise.all([
      post(payPath, { outcome: 'paid' }),
      post(payPath, { outcome: 'paid' }),
    ]);
    expect(first.status).toBe(303);
    const thanks = await get(pathOf(first.headers.location)).expect(200);
    const licence = /<code class="licence-key">([^<]*)</.exec(thanks.text)?.[1] ?? '';
    expect(readLicenceKey(licence)).toBe(licence);
    const download = /href="([^"]*\/download\/[^"]*)"/.exec(thanks.text)?.[1] ?? '';
    const zip = await get(pathOf(download)).expect(200).buffer(true).parse(binary);
    expect((zip.body as Buffer).subarray(0, 2).toString()).toBe('PK');
    await t.runDue();
    const receipt = await lastMail();
    expect(receipt.text).toContain('/download/');
    // The file says `licence: true`: one key, the same on the page and in the mail, though Pay was pressed twice.
    expect(receipt.text).toContain(licence);
    const licences: unknown[] = await t.dataSource.query('select key from licence');
    expect(licences).toEqual([{ key: licence }]);
  });

  it('ended the sequence and shows exactly one of each in the analytics', async () => {
    const left: { status: string; reason: string }[] = await t.dataSource.query(
      'select status, exit_reason as reason from enrollment',
    );
    expect(left).toHaveLength(1);
    expect(left[0]?.status).not.toBe('active');
    const { body } = await t.http
      .get('/api/v1/analytics/funnels/niche-ebook')
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(body).toMatchObject({
      visitors: 1,
      signUps: 1,
      confirmed: 1,
      offerViews: 1,
      orders: 1,
      revenue: { amountMinor: 3430, currency: 'EUR' },
      rates: { signUp: 1, confirmation: 1 },
    });
    expect(body.steps.find(({ key }: { key: string }) => key === 'welcome')).toMatchObject({
      sent: 1,
      opened: 1,
      clicked: 1,
    });
  });

  it('unsubscribes by one click without a redirect, once and for all', async () => {
    const welcome = (await t.mailsTo(READER))[1];
    const header =
      welcome?.headers.find(({ name }) => name.toLowerCase() === 'list-unsubscribe')?.value ?? '';
    const path = pathOf(/<(https?:[^>]+)>/.exec(header)?.[1]);
    await t.http.get(path).expect(200);
    expect(await subscriberStatus()).toBe('active');
    await t.http.post(path).type('form').send({ 'List-Unsubscribe': 'One-Click' }).expect(200);
    await t.http.post(path).field('List-Unsubscribe', 'One-Click').expect(200);
    expect(await subscriberStatus()).toBe('unsubscribed');
  });

  async function subscriberStatus(): Promise<string | undefined> {
    const rows: { status: string }[] = await t.dataSource.query(
      'select status from subscriber where email_key = $1',
      [READER],
    );
    return rows[0]?.status;
  }

  async function offerArrived(): Promise<boolean> {
    const rows: unknown[] = await t.dataSource.query(
      `select 1 from message where step_key = 'offer' and state = 'accepted'`,
    );
    return rows.length > 0;
  }

  /** The tracked link whose target matches. */
  async function clickTo(mail: TestMail, target: RegExp): Promise<string> {
    const paths = [...mail.html.matchAll(/href="([^"]+\/c\/[^"]+)"/g)].map(([, url]) => pathOf(url));
    for (const path of paths) {
      const answer = await t.http.head(path);
      if (target.test(answer.headers.location ?? '')) return path;
    }
    throw new Error(`no tracked link to ${target} in "${mail.subject}"`);
  }

  it('keeps its own files when the API changes a price: it took the newest of that name, of whatever funnel', async () => {
    const given = async (): Promise<unknown> =>
      t.dataSource.query(`select lead_magnet_file_id as file from form where slug = 'niches'`);
    const before = await given();
    await t.dataSource.query(
      `insert into stored_file (sha256, file_name, content_type, size_bytes, created_at)
       select '\\x01', file_name, content_type, size_bytes, created_at from stored_file where file_name = '75-niches.pdf'`,
    );
    const funnels = t.app.get(FunnelsService, { strict: false });
    const yaml = (await funnels.export('niche-ebook')).replace('49.00 EUR', '59.00 EUR');
    const { changes } = await funnels.apply(yaml, null, 'funnel.yaml');
    expect(changes).toHaveLength(1);
    expect(await given()).toEqual(before);
  });

  it.each([
    ['funnels/niche-ebook/rollback', 'post', { to: 3_000_000_000 }],
    ['subscribers', 'post', { email: 'half@example.com', fields: { note: '\ud800' } }],
    ['forms/niches', 'put', { bullets: ['\ud800'] }],
  ] as const)('is told what is wrong by %s rather than that we failed', async (path, method, body) => {
    const answer = await t.http[method](`/api/v1/${path}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .set('Content-Type', 'application/json')
      .send(JSON.stringify(body));
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(answer.body.errors?.length).toBeGreaterThan(0);
  });
});

function pathOf(url: string | undefined): string {
  return (url ?? '').replaceAll('&amp;', '&').replace(/^https?:\/\/[^/]+/, '');
}

function binary(response: Response, done: (error: Error | null, body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  const stream = response as Response & NodeJS.ReadableStream;
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => done(null, Buffer.concat(chunks)));
}
