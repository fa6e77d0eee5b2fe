import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/infra/free-port.js';
import { API_KEY, startTestApp, type TestApp } from '../support/app.js';
import { faultsOf, findChromium, openPhone, type Phone } from '../support/browser.js';

const OWNER = { email: 'owner@example.com', password: 'four unrelated words here' };
/** Longer than a step of the browser may take, which says then what it waited for. */
const PATIENT = { timeout: 180_000 };
const executable = findChromium();

describe.skipIf(executable === null)('the editor of segments, in a browser on a phone', PATIENT, () => {
  let t: TestApp;
  let phone: Phone;
  let page: Page;

  beforeAll(async () => {
    const port = await freePort();
    const baseUrl = `http://localhost:${port}`;
    t = await startTestApp({ baseUrl });
    // Ahead of any real clock: the browser's own decides whether a cookie has run out.
    t.clock.set('2126-01-07T09:00:00Z');
    await t.app.listen(port, '127.0.0.1');
    for (const [email, tags] of [
      ['ada@example.com', ['vip']],
      ['bob@example.com', ['press']],
      ['cleo@example.com', []],
    ] as const)
      await t.http
        .post('/api/v1/subscribers')
        .set('Authorization', `Bearer ${API_KEY}`)
        .send({ email, tags })
        .expect(201);
    phone = await openPhone(executable ?? '');
    page = phone.page;
    await page.goto(`${baseUrl}/admin/setup`);
    await page.getByLabel('Email address').fill(OWNER.email);
    await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
    await page.getByRole('button').first().click();
    await page.waitForURL(`${baseUrl}/admin`);
    await page.goto(`${baseUrl}/admin/segments/new`);
  });
  afterAll(async () => {
    await phone?.close();
    await t?.close();
  });

  const says = async (text: string): Promise<void> =>
    page.locator('[data-count-output]').filter({ hasText: text }).waitFor();

  it('asks what belongs to what was chosen, and counts while it is typed', async () => {
    await page.getByLabel('Condition 1: what is asked').selectOption('tag');
    await says('Condition 1 (have the tag): name a tag');
    await page.getByLabel('tag', { exact: true }).fill('vip');
    await says('1 person belongs to it now.');
    await page.getByLabel('Condition 1: those who').selectOption('yes');
    await says('2 people belong to it now.');
    expect(await faultsOf(page)).toEqual([]);
  });

  it('nests groups and takes parts away without losing what stands beside them', async () => {
    await page.getByLabel('People who meet').selectOption('any');
    await page.getByRole('button', { name: 'Add a group' }).click();
    await page.getByLabel('Condition 2.1: what is asked').selectOption('opened');
    await page.getByLabel('when', { exact: true }).selectOption('last');
    await says('Condition 2.1 (opened, days): use a whole number of days');
    await page.getByLabel('days', { exact: true }).fill('30');
    await says('2 people belong to it now.');
    expect(await page.getByLabel('from', { exact: true }).isVisible()).toBe(false);
    expect(await faultsOf(page)).toEqual([]);
    await page.getByRole('button', { name: 'Remove condition 1' }).click();
    await says('0 people belong to it now.');
    expect(await page.getByLabel('Condition 1.1: what is asked').inputValue()).toBe('opened');
    expect(await page.getByLabel('days', { exact: true }).inputValue()).toBe('30');
    expect(phone.complaints).toEqual([]);
  });

  it('keeps it', async () => {
    await page.getByLabel('Name', { exact: true }).fill('Readers');
    await page.getByRole('button', { name: 'Keep this segment' }).click();
    await page.getByRole('link', { name: 'Readers', exact: true }).waitFor();
    expect(await page.getByText('opened in the last 30 days').isVisible()).toBe(true);
  });

  it.each([
    'fields',
    'fields/new',
    'tags',
    'lists',
    'lists/new',
    'files',
    'mails',
    'mails/new',
    'new-funnel',
  ])('stands beside a page of %s that has no fault on a phone', async (path) => {
    await page.goto(new URL(`/admin/${path}`, page.url()).href);
    expect(await faultsOf(page)).toEqual([]);
    expect(phone.complaints).toEqual([]);
  });
});
