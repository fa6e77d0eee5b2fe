import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../src/infra/config.js';
import { freePort } from '../../src/infra/free-port.js';
import { startTestApp, type TestApp } from '../support/app.js';
import { faultsOf, findChromium, openPhone, type Phone } from '../support/browser.js';
import { refuseWrites, takeWrites } from '../support/refused-writes.js';

const READER = 'rita.reader@example.com';
/** Longer than a step of the browser may take, which says then what it waited for. */
const PATIENT = { timeout: 180_000 };

const executable = findChromium();
if (executable === null) {
  console.warn('LEFT OUT: the page of a form that is sent again by itself. No Chromium; set CHROMIUM_PATH.');
}

describe.skipIf(executable === null)(
  'the page of a form, while neither the database nor the disk takes a sign-up',
  PATIENT,
  () => {
    let t: TestApp;
    let phone: Phone;
    let baseUrl: string;
    let folder: string;
    beforeAll(async () => {
      const port = await freePort();
      baseUrl = `http://localhost:${port}`;
      t = await startTestApp({ baseUrl });
      t.app.useLogger(false);
      folder = join(t.app.get<Config>(CONFIG).dataDir, 'signups');
      await t.app.listen(port, '127.0.0.1');
      phone = await openPhone(executable ?? '');
    });
    afterAll(async () => {
      await phone?.close();
      await t?.close();
    });

    it('keeps what was typed and sends it again by itself: it was gone, and an error stood there', async () => {
      const { page, complaints } = phone;
      await page.clock.install();
      await page.goto(`${baseUrl}/p/niches`);
      t.clock.advance(5_000);
      await writeFile(folder, '');
      await refuseWrites(t.dataSource, '53100', ['subscriber']);
      await page.getByLabel('Email address').fill(READER);
      await page.getByLabel('First name').fill('Rita');
      await page.getByRole('button', { name: 'Send me the guide' }).click();
      const again = page.getByRole('status').filter({ hasText: 'sent again by itself in 60 seconds' });
      await again.waitFor();
      expect(await page.getByRole('alert').innerText()).toContain('What you typed is still here');
      expect(await page.getByLabel('First name').inputValue()).toBe('Rita');
      // Chromium itself reports the answer 503; anything else is a fault.
      expect(complaints.splice(0)).toEqual([expect.stringMatching(/\/p\/niches: .* status of 503/)]);
      expect(await faultsOf(page)).toEqual([]);

      const answered = page.waitForResponse((answer) => answer.status() === 503);
      await page.clock.fastForward(61_000);
      await answered;
      await again.waitFor();
      await takeWrites(t.dataSource);
      await page.clock.fastForward(61_000);
      await page.getByRole('heading', { name: 'look in your inbox' }).waitFor();
      await rm(folder);
      await t.runDue();
      expect((await t.mailsTo(READER)).length).toBe(1);
    });

    it('does not send it while somebody is typing', async () => {
      const { page } = phone;
      await page.goto(`${baseUrl}/p/niches`);
      t.clock.advance(5_000);
      await writeFile(folder, '');
      await refuseWrites(t.dataSource, '53100', ['subscriber']);
      await page.getByLabel('Email address').fill(`x${READER}`);
      await page.getByRole('button', { name: 'Send me the guide' }).click();
      await page.getByRole('status').filter({ hasText: 'sent again by itself' }).waitFor();
      await page.getByLabel('First name').fill('Rita');
      await page.clock.fastForward(61_000);
      expect(await page.getByRole('status').innerText()).toBe('');
      await takeWrites(t.dataSource);
      await rm(folder);
    });
  },
);
