import { describe, expect, it } from 'vitest';
import { samplePage } from '../../../../src/admin/funnels/page-samples.js';
import { readFunnelFile } from '../../../../src/funnels/yaml/funnel-file.js';
import { pageEngine, renderPage } from '../../../../src/infra/http/page-engine.js';

const FUNNEL = `funnel: tea
title: Letters on tea
sender: { name: Tilda Leaf, email: tilda@example.com, postalAddress: 7 Pot Lane }
form:
  slug: tea
  headline: A month of tea
  subheadline: A cup a day
  bullets: [Thirty leaves, Ten pots]
  button: Send me the month
  consent: Send me letters on tea
sequence: { steps: [{ key: hello, email: emails/welcome }] }
products: [{ key: chest, name: The tea chest, description: Holds a hundred, price: 12.50 EUR }]
offers: [{ key: chest, product: chest, headline: Never without, bullets: [A lock, A key] }]
`;

async function page(name: string, text: string): Promise<string> {
  const file = readFunnelFile(text);
  if (!file.ok) throw new Error(JSON.stringify(file.problems));
  const view = samplePage(name, file.definition, { now: new Date('2026-01-05T09:00:00Z'), asked: [] });
  return renderPage(pageEngine(), name, view ?? {});
}

describe('the words of a funnel', () => {
  it.each([
    ['pages/squeeze', 'name: Tilda Leaf', 'Tilda Leaf'],
    ['pages/squeeze', 'postalAddress: 7 Pot Lane', '7 Pot Lane'],
    ['pages/squeeze', 'headline: A month of tea', 'A month of tea'],
    ['pages/squeeze', 'subheadline: A cup a day', 'A cup a day'],
    ['pages/squeeze', 'bullets: [Thirty leaves, Ten pots]', 'Ten pots'],
    ['pages/squeeze', 'button: Send me the month', 'Send me the month'],
    ['pages/squeeze', 'consent: Send me letters on tea', 'Send me letters on tea'],
    ['pages/offer', 'name: The tea chest', 'The tea chest'],
    ['pages/offer', 'description: Holds a hundred', 'Holds a hundred'],
    ['pages/offer', 'headline: Never without', 'Never without'],
    ['pages/offer', 'bullets: [A lock, A key]', 'A key'],
  ])('stand on %s as it is shown to the owner: %s', async (name, option, words) => {
    expect(await page(name, FUNNEL)).toContain(words);
    const other = FUNNEL.replace(option, option.replace(words, 'Other words'));
    expect(await page(name, other)).toContain('Other words');
  });
});
