import { expect, it } from 'vitest';
import { readColumns } from '../../../src/imports/columns.js';
import { readRow, type RowRead } from '../../../src/imports/import-row.js';

const DEFINITIONS = new Map([['age', { key: 'age', label: 'Age', type: 'number' as const, choices: [] }]]);

function row(headers: string, cells: string, mapping: Record<string, string>): RowRead {
  const read = readColumns(headers.split('|'), mapping, DEFINITIONS);
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return readRow(cells.split('|'), {
    ...{ columns: read.columns, definitions: DEFINITIONS, status: 'pending', dateOrder: null },
    ...{ tags: [], lists: [], listKeys: new Set(), topicKeys: new Set(['niche-ebook']) },
    ...{ hasConsent: false, now: new Date('2026-03-02T09:00:00Z') },
  });
}

it.each([
  ['email|status|created_at', 'a@example.com|complained|3/4/2024', { status: 'complained' }],
  ['email|status|name', 'a@example.com|unsubscribed|a\0b', { status: 'unsubscribed' }],
  ['email|status|left', 'a@example.com|bounced|never', { status: 'bounced', leftAt: null }],
  ['email|left', 'a@example.com|3/4/2024', { status: 'unsubscribed', leftAt: null }],
  [
    'email|left|agreed|age',
    'a@example.com|2024-01-02|2024-01-01|old',
    { status: 'unsubscribed', leftAt: new Date('2024-01-02T00:00:00Z') },
  ],
  // Whatever the word for it: they left.
  ['email|left|status', 'a@example.com|2024-01-02|gone', { status: 'unsubscribed' }],
  [
    'email|counted|topics|status',
    'a@example.com|false|Niche E-Book,niche-ebook|maybe',
    { status: null, trackingConsent: false, topicsOff: ['niche-ebook'] },
  ],
  ['email|age|paused', 'a@example.com|old|2027-01-02', { pausedUntil: new Date('2027-01-02T00:00:00Z') }],
])('a row of %s that is refused says what they do not want all the same: %j', (headers, cells, noes) => {
  const named = {
    ...{ left: 'leftAt', agreed: 'consentAt', counted: 'trackingConsent' },
    ...{ topics: 'topicsOff', paused: 'pausedUntil' },
  };
  const mapping = Object.entries(named).filter(([header]) => headers.split('|').includes(header));
  expect(row(headers, cells, Object.fromEntries(mapping))).toMatchObject({
    ok: false,
    noes: { emailKey: 'a@example.com', ...noes },
  });
});

it.each([
  ['email|left|age', 'a@example.com|0000-00-00 00:00:00|old'],
  ['email|left|agreed|age', 'a@example.com|2024-01-01|2024-01-02|old'],
  ['email|left|agreed|status', 'a@example.com|2024-01-01|2024-01-02|gone'],
  ['email|left|status', 'a@example.com|never|gone'],
  ['email|counted|age', 'a@example.com|true|old'],
  ['email|status|age', 'nobody|complained|old'],
])('a row of %s that is refused and says no to nothing changes nobody: %j', (headers, cells) => {
  const mapping = { left: 'leftAt', agreed: 'consentAt', counted: 'trackingConsent' };
  const used = Object.entries(mapping).filter(([header]) => headers.split('|').includes(header));
  expect(row(headers, cells, Object.fromEntries(used))).toMatchObject({ ok: false, noes: null });
});
