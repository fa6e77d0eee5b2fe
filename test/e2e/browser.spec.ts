import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { FrameLocator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/infra/free-port.js';
import { startTestApp, type TestApp } from '../support/app.js';
import { faultsOf, findChromium, openPhone, type Phone } from '../support/browser.js';

const READER = 'rita.reader@example.com';
const OWNER = { email: 'owner@example.com', password: 'four unrelated words here' };
/** Ahead of any real clock: the browser's own decides whether a cookie has run out. A Monday morning. */
const START = '2126-01-07T09:00:00Z';
/** Longer than a step of the browser may take, which says then what it waited for. */
const PATIENT = { timeout: 180_000 };

const executable = findChromium();
if (executable === null) {
  console.warn('LEFT OUT: the walk through the pages in a browser. No Chromium; set CHROMIUM_PATH.');
}

describe.skipIf(executable === null)('from squeeze page to sale, in a browser on a phone', PATIENT, () => {
  let t: TestApp;
  let phone: Phone;
  let page: Page;
  let baseUrl: string;

  beforeAll(async () => {
    const port = await freePort();
    baseUrl = `http://localhost:${port}`;
    t = await startTestApp({ baseUrl });
    t.clock.set(START);
    await t.app.listen(port, '127.0.0.1');
    phone = await openPhone(executable ?? '');
    page = phone.page;
  });
  afterAll(async () => {
    await phone?.close();
    await t?.close();
  });

  it('points out a bad address at its field and keeps what was typed', async () => {
    await page.goto(`${baseUrl}/p/niches`);
    await expectGoodPage(page);
    await email().fill('rita.reader@example');
    await page.getByLabel('First name').fill('Rita');
    await page.getByRole('button', { name: 'Send me the guide' }).click();
    await page.getByRole('alert').waitFor();
    // Chromium itself reports the answer 422; anything else is a fault.
    expect(phone.complaints.splice(0)).toEqual([expect.stringMatching(/\/p\/niches: .* status of 422/)]);
    await expectGoodPage(page);
    expect(await email().getAttribute('aria-invalid')).toBe('true');
    const described = (await email().getAttribute('aria-describedby')) ?? '';
    expect(await page.locator(`#${described}`).innerText()).toContain('example.com');
    expect(await email().inputValue()).toBe('rita.reader@example');
    expect(await page.getByLabel('First name').inputValue()).toBe('Rita');
  });

  it('signs up, with the time zone of the browser', async () => {
    await email().fill(READER);
    t.clock.advance(5_000);
    await page.getByRole('button', { name: 'Send me the guide' }).click();
    await page.getByRole('heading', { level: 1, name: /inbox/ }).waitFor();
    await expectGoodPage(page);
    expect(await page.getByText(READER).count()).toBe(1);
    const rows: { timeZone: string; status: string }[] = await t.dataSource.query(
      'select time_zone as "timeZone", status from subscriber where email_key = $1',
      [READER],
    );
    expect(rows).toEqual([{ timeZone: 'Europe/Berlin', status: 'pending' }]);
  });

  it('confirms by the link of the mail and the button behind it', async () => {
    await t.runDue();
    const confirm = await follow(await openMail(/confirm/i), /./);
    await expectGoodPage(confirm);
    await confirm.getByRole('button').click();
    await confirm.getByRole('heading', { level: 1, name: /you are in/ }).waitFor();
    await expectGoodPage(confirm);
    const guide = await download(confirm, confirm.getByRole('link', { name: /Download/ }));
    expect(guide.subarray(0, 5).toString()).toBe('%PDF-');
    await confirm.close();
  });

  it('shows the welcome mail as the reader sees it', async () => {
    await t.runDue();
    const mail = await openMail(/75 niches/);
    await expectGoodPage(page);
    expect(await mail.locator('body').innerText()).toContain('Rita');
    expect(await mail.getByRole('link', { name: /unsubscribe/i }).count()).toBeGreaterThan(0);
    await page.getByRole('link', { name: 'Text', exact: true }).click();
    expect(await page.locator('pre').innerText()).toContain('Rita');
    await expectGoodPage(page);
  });

  it('leads from the last mail of the sequence over the offer to the download', async () => {
    while (!(await offerSent())) await skipAhead();
    const offer = await follow(await openMail(/./), /kit/i);
    await offer.getByRole('heading', { level: 1, name: /first sale/ }).waitFor();
    await expectGoodPage(offer);
    expect(await offer.locator('[data-deadline]').innerText()).toMatch(/^2 d 23 h left|^3 d 0 h left/);
    await offer
      .getByRole('link', { name: /Get Niche Launch Kit/ })
      .first()
      .click();

    await offer.getByRole('heading', { level: 1, name: 'Almost yours' }).waitFor();
    await expectGoodPage(offer);
    // Whoever the mail was passed on to must not learn the reader's address from its link.
    expect(await offer.content()).not.toContain(READER);
    await offer.getByLabel('Email address').fill(READER);
    await offer.getByLabel(/Add The 30-Day Launch Checklist/).check();
    expect(await offer.locator('tfoot').innerText()).toContain('43.30');
    await offer.getByRole('button', { name: 'Continue to payment' }).click();

    await offer.getByRole('heading', { level: 1, name: 'Test payment' }).waitFor();
    await expectGoodPage(offer);
    await offer.getByRole('button', { name: 'Pay' }).click();

    await offer.getByRole('heading', { level: 1, name: /Thank you/ }).waitFor();
    await expectGoodPage(offer);
    const kit = await download(offer, offer.getByRole('link', { name: /Download .*\.zip/ }));
    expect(kit.subarray(0, 2).toString()).toBe('PK');
    await offer.close();
    await t.runDue();
    const receipt = await openMail(/order|receipt/i);
    expect(await receipt.locator('body').innerText()).toContain('43.30');
  });

  it('lets the owner in and shows the sale', async () => {
    await page.goto(`${baseUrl}/admin`);
    await expectGoodPage(page);
    await page.getByLabel('Your email address').fill(OWNER.email);
    await page.getByLabel('Password').fill(OWNER.password);
    await page.getByRole('button', { name: 'Create the account' }).click();
    await page.waitForURL(`${baseUrl}/admin`);
    await expectGoodPage(page);
    for (const path of ['/admin/funnels', '/admin/subscribers', '/admin/funnels/niche-ebook']) {
      await page.goto(`${baseUrl}${path}`);
      await expectGoodPage(page);
    }
    expect(await page.getByRole('img', { name: /1 visitors, 1 sign-ups, 1 confirmed/ }).count()).toBe(1);
    expect(await page.getByText('€43.30').count()).toBeGreaterThan(0);
  });

  it('signs up through the form on another site, by one script tag', async () => {
    const html = `<!doctype html><html lang="en"><title>Shop</title><h1>Shop</h1><script src="${baseUrl}/f/niches.js" async></script>`;
    const shop = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
    const port = await freePort();
    await new Promise<void>((resolve) => shop.listen(port, '127.0.0.1', resolve));
    try {
      await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
      await page.goto(`http://127.0.0.1:${port}/`);
      await email().fill('sam@example');
      await page.getByRole('button', { name: 'Send me the guide' }).click();
      await page.getByRole('alert').filter({ hasText: 'example.com' }).waitFor();
      expect(phone.complaints.splice(0)).toEqual([
        expect.stringMatching(/\/api\/public\/forms\/niches: .* 422/),
      ]);
      await expectGoodPage(page);
      await email().fill('sam@example.com');
      t.clock.advance(5_000);
      // What was typed is sent again by itself: it stood there under an error until somebody pressed once more.
      const later = {
        'retry-after': '1',
        'access-control-allow-origin': '*',
        'access-control-expose-headers': '*',
      };
      const times = { times: 1 };
      const address = '**/api/public/forms/niches';
      await page.route(address, (route) => route.fulfill({ status: 503, headers: later }), times);
      await page.route(address, (route) => route.abort(), times);
      await page.getByRole('button', { name: 'Send me the guide' }).click();
      for (const seconds of [3, 1])
        await page
          .getByRole('alert')
          .filter({ hasText: `sent again in ${seconds} seconds` })
          .waitFor();
      await page.getByRole('status').waitFor();
      expect(phone.complaints.splice(0).length).toBeGreaterThan(0);
      await page.getByRole('status').waitFor();
      await expectGoodPage(page);
    } finally {
      shop.close();
      shop.closeAllConnections();
    }
    await t.runDue();
    expect((await t.mailsTo('sam@example.com')).map(({ subject }) => subject)).toEqual([
      expect.stringMatching(/confirm/i),
    ]);
  });

  const email = () => page.getByLabel('Email address');

  /** One heading, every field labelled, nothing wider than the phone, and no complaint in a console since the last look. */
  async function expectGoodPage(shown: Page): Promise<void> {
    const faults = (await faultsOf(shown)).map((fault) => `${new URL(shown.url()).pathname}: ${fault}`);
    expect([...faults, ...phone.complaints.splice(0)]).toEqual([]);
  }

  /** Opens the newest mail in the mailbox, whose subject must match, and hands out what its frame shows. */
  async function openMail(subject: RegExp): Promise<FrameLocator> {
    await page.goto(`${baseUrl}/mailbox`);
    await expectGoodPage(page);
    await page.locator('.mail-list a').first().click();
    const heading = page.getByRole('heading', { level: 1 });
    expect(await heading.innerText()).toMatch(subject);
    const mail = page.frameLocator('iframe');
    await mail.locator('body').waitFor();
    return mail;
  }

  /** Presses the link of the mail that looks like a button; it opens beside the mailbox. */
  async function follow(mail: FrameLocator, name: RegExp): Promise<Page> {
    const opened = page.waitForEvent('popup');
    await mail.getByRole('link', { name }).first().click();
    const target = await opened;
    await target.waitForLoadState();
    return target;
  }

  async function download(from: Page, link: ReturnType<Page['getByRole']>): Promise<Buffer> {
    const started = from.waitForEvent('download');
    await link.first().click();
    return readFile(await (await started).path());
  }

  async function offerSent(): Promise<boolean> {
    const rows: unknown[] = await t.dataSource.query(
      `select 1 from message where step_key = 'offer' and state = 'accepted'`,
    );
    return rows.length > 0;
  }

  /** Moves the clock to the next due step and runs it. */
  async function skipAhead(): Promise<void> {
    const rows: { at: Date | null }[] = await t.dataSource.query(
      `select min(next_at) as at from enrollment where status = 'active'`,
    );
    if (!rows[0]?.at) throw new Error('the sequence has ended without the offer');
    t.clock.set(rows[0].at);
    await t.runDue();
  }
});
