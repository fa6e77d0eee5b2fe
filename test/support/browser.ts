import { accessSync, constants, readFileSync } from 'node:fs';
import { chromium, type Browser, type Page } from 'playwright-core';

/** A common phone, 390 CSS pixels wide. */
export const PHONE = { width: 390, height: 844 };
/** Headless Chromium names itself a robot, and the product counts people only. */
const USER_AGENT =
  'Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Ends what hangs for good; a busy machine takes seconds for what takes milliseconds elsewhere. */
const STEP_TIMEOUT_MS = 60_000;

/**
 * Where Chromium is: `CHROMIUM_PATH`, else Debian's place; null when there is none.
 *
 * @throws Error with `CI_REQUIRE_BROWSER=1`, so that a skipped walk cannot pass there
 */
export function findChromium(): string | null {
  const path = process.env['CHROMIUM_PATH'] || '/usr/bin/chromium';
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    if (process.env['CI_REQUIRE_BROWSER'] === '1') {
      throw new Error(`CI_REQUIRE_BROWSER=1, but ${path} cannot be run`);
    }
    return null;
  }
}

export interface Phone {
  page: Page;
  /** What pages of this phone reported in their consoles: script errors and violations of the content policy. */
  complaints: string[];
  close(): Promise<void>;
}

export async function openPhone(executablePath: string): Promise<Phone> {
  const browser: Browser = await chromium.launch({ executablePath, args: FLAGS, timeout: STEP_TIMEOUT_MS });
  const context = await browser.newContext({
    viewport: PHONE,
    userAgent: USER_AGENT,
    hasTouch: true,
    isMobile: true,
    deviceScaleFactor: 2,
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
  });
  context.setDefaultTimeout(STEP_TIMEOUT_MS);
  const complaints: string[] = [];
  context.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.location().url}: ${message.text()}`);
  });
  context.on('weberror', (error) => complaints.push(String(error.error())));
  return { page: await context.newPage(), complaints, close: async () => browser.close() };
}

const PAGE_FAULTS = readFileSync(new URL('page-faults.js', import.meta.url), 'utf8');

/** What is wrong with the page as it stands, in words; an empty list is a good page. */
export async function faultsOf(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(PAGE_FAULTS);
}
