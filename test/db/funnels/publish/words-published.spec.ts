import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { linkIn, startTestApp, type TestApp } from '../../../support/app.js';

const FUNNEL = `funnel: teas
title: Tea in thirty letters
sender: { name: Tilda Leaf, email: tilda@example.com, postalAddress: 5 Pot Lane }
form:
  slug: teas
  headline: A month of tea
  subheadline: A cup a day, and what to taste in it
  bullets: [Thirty leaves, One pot]
  button: Send me the month
  consent: Send me the letters about tea.
sequence:
  steps:
    - { key: hello, email: emails/story }
products:
  - { key: chest, name: The tea chest, description: Holds a hundred leaves., price: 49 EUR }
offers:
  - { key: chest, product: chest, headline: Never without tea, bullets: [A lock, Two keys], discount: 10% }
`;

describe('what a funnel file says in words', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
    await t.app.get(FunnelsService, { strict: false }).apply(FUNNEL, null, 'teas.yaml');
  });
  afterAll(async () => t.close());

  it('stands on the page that visitors see', async () => {
    const { text } = await t.http.get('/p/teas').expect(200);
    for (const words of [
      ...['A month of tea', 'A cup a day, and what to taste in it', 'Thirty leaves', 'One pot'],
      ...['Send me the month', 'Send me the letters about tea.', 'Tilda Leaf', '5 Pot Lane'],
    ])
      expect(text).toContain(words);
  });

  it('stands on the page of the offer, with its price', async () => {
    const { text } = await t.http.get('/offer/chest').expect(200);
    for (const words of [
      ...['Never without tea', 'A lock', 'Two keys', 'The tea chest', 'Holds a hundred leaves.'],
      ...['44.10', '49.00'],
    ])
      expect(text).toContain(words);
  });

  it('is whom each mail comes from, and at the end of it', async () => {
    await t.http.post('/p/teas').type('form').send({ email: 'reader@example.com' }).expect(200);
    await t.runDue();
    const [asks] = await t.mailsTo('reader@example.com');
    if (!asks) throw new Error('no mail asks for a confirmation');
    await t.http.post(linkIn(asks, /\/confirm\//)).expect(200);
    await t.runDue();
    const mails = await t.mailsTo('reader@example.com');
    expect(mails).toHaveLength(2);
    for (const { headers, html } of mails) {
      const from = headers.find(({ name }) => name.toLowerCase() === 'from')?.value;
      expect(from).toBe('Tilda Leaf <tilda@example.com>');
      expect(html).toContain('5 Pot Lane');
    }
  });
});
