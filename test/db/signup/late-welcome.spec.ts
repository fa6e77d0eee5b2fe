import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { joins } from '../../support/reader.js';

const DAY_MS = 86_400_000;

describe('a welcome mail that comes weeks after the sign-up', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());

  const series = (what: 'pause' | 'resume') =>
    t.http
      .post(`/api/v1/sending/sequences/niche-ebook/${what}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
  const path = (url: string): string => url.replace(/^https?:\/\/[^/]+/, '');
  /** Where the button leads, as the browser follows it. */
  const pressed = async (email: string): Promise<string> => {
    const links = (await t.mailsTo(email)).flatMap(({ html }) => [...html.matchAll(/href="([^"]+)"/g)]);
    for (const [, href = ''] of links) {
      const link = path(href.replaceAll('&amp;', '&'));
      if (!link.startsWith('/c/')) continue;
      const { headers } = await t.http.get(link).expect(302);
      const to = path(String(headers['location']));
      if (to.startsWith('/download/')) return to;
    }
    throw new Error('no mail has a link to a file');
  };

  it('hands over what was promised: its button led to "Download links work for a limited time"', async () => {
    const email = 'patient@example.com';
    await joins(t, email);
    await series('pause');
    await t.runDue();
    t.clock.advance(45 * DAY_MS);
    await series('resume');
    await t.runDue();
    const file = await pressed(email);
    await t.http.get(file).expect(200).expect('content-type', 'application/pdf');
    t.clock.advance(29 * DAY_MS);
    expect((await t.http.get(file)).status).toBe(200);
    t.clock.advance(2 * DAY_MS);
    expect((await t.http.get(file)).status).toBe(410);
  });
});
