import { Liquid } from 'liquidjs';
import { describe, expect, it } from 'vitest';
import { registerLiquidFilters } from '../../../../src/infra/http/liquid-filters.js';
import { PageRenderer } from '../../../../src/infra/http/page-renderer.js';

const liquid = new Liquid();
registerLiquidFilters(liquid);
const render = (template: string, view: object = {}) => liquid.parseAndRender(template, view);
const price = { amountMinor: 4900, currency: 'EUR' };

describe('filters', () => {
  it.each([
    ['{{ price | money }}', { price }, '€49.00'],
    ['{{ price | money }}', { price, locale: 'de' }, '49,00\u00a0€'],
    ['{{ price | money: "en" }}', { price, locale: 'de' }, '€49.00'],
    ['{{ price | money }}', {}, '–'],
    ['{{ at | datetime }}', { at: '2026-11-24T09:30:00.000Z' }, 'Tue 24 Nov 2026, 09:30 UTC'],
    ['{{ at | datetime }}', { at: new Date('2026-11-24T09:30:00Z') }, 'Tue 24 Nov 2026, 09:30 UTC'],
    [
      '{{ at | datetime: "Asia/Kolkata" }}',
      { at: '2026-11-24T20:30:00Z' },
      'Wed 25 Nov 2026, 02:00 GMT+5:30',
    ],
    ['{{ at | datetime: "Nowhere/Else" }}', { at: '2026-11-24T09:30:00Z' }, 'Tue 24 Nov 2026, 09:30 UTC'],
    ['{{ at | datetime }}', { at: 'soon' }, '–'],
    ['{{ at | datetime }}', {}, '–'],
    ['{{ rate | percent }}', { rate: 0.1234 }, '12.3 %'],
    ['{{ rate | percent }}', { rate: 0 }, '0.0 %'],
    ['{{ rate | percent }}', { rate: null }, '–'],
    ['{{ count | number }}', { count: 1_234_567 }, '1,234,567'],
    ['{{ count | number }}', { count: '9007199254740991' }, '9,007,199,254,740,991'],
    ['{{ count | number }}', { count: null }, '–'],
    ['{{ count | number }}', { count: 'many' }, '–'],
  ])('%s of %j is %j', async (template, view, expected) => {
    expect(await render(template, view)).toBe(expected);
  });
});

describe('the page renderer', () => {
  const pages = new PageRenderer();

  it('renders a page of templates/ inside its layout, escaped', async () => {
    const html = await pages.render('pages/error', { status: 404, heading: '<b>', message: 'a & b' });
    expect(html).toMatch(/^<!doctype html>/i);
    expect(html).toContain('&lt;b&gt;');
    expect(html).toContain('a &amp; b');
    expect(html).not.toContain('<b>');
  });

  it('reads own properties only', async () => {
    const html = await pages.render('pages/error', Object.create({ heading: 'inherited' }) as object);
    expect(html).not.toContain('inherited');
  });

  it('says which template is missing', async () => {
    await expect(pages.render('pages/none', {})).rejects.toThrow(/pages\/none/);
  });

  it.each(['../package', '/etc/passwd', 'pages/../../package'])(
    'does not leave templates/ for %s',
    async (template) => {
      await expect(pages.render(template, {})).rejects.toThrow(/ENOENT/);
    },
  );
});
