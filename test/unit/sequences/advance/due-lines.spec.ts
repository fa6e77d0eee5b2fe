import { describe, expect, it } from 'vitest';
import { readDue } from '../../../../src/sequences/advance/due-lines.js';

const ALIKE = ['3', 'story', 'active', 'Europe/Berlin', 'new', '', '', '', ''].join('\t');

describe('people whose step is due, as the database tells of them', () => {
  it('are together where all is the same of them, in the order in which they fell due', () => {
    const other = [
      '3',
      'story',
      'active',
      '',
      'over',
      '1700000000000',
      'day',
      '{"a": "ran"}',
      '{"b": "x y"}',
    ].join('\t');
    const lines = [
      `11 21 ada@example.com \t${ALIKE}`,
      `12 22 bob@example.org Bob@example.org\t${other}`,
      `13 23 eve@example.net \t${ALIKE}`,
    ].join('\n');
    expect(readDue(lines, '{"c": 1}')).toEqual([
      {
        ...{ versionId: '3', stepKey: 'story', status: 'active', timeZone: 'Europe/Berlin' },
        ...{ wait: 'new', lateSinceMs: null, hoursOf: null, had: null, data: '{"c": 1}' },
        people: {
          ids: ['11', '13'],
          subscriberIds: ['21', '23'],
          emailKeys: ['ada@example.com', 'eve@example.net'],
          emails: ['ada@example.com', 'eve@example.net'],
        },
      },
      {
        ...{ versionId: '3', stepKey: 'story', status: 'active', timeZone: null },
        ...{
          wait: 'over',
          lateSinceMs: 1_700_000_000_000,
          hoursOf: 'day',
          had: '{"a": "ran"}',
          data: '{"b": "x y"}',
        },
        people: {
          ...{ ids: ['12'], subscriberIds: ['22'] },
          ...{ emailKeys: ['bob@example.org'], emails: ['Bob@example.org'] },
        },
      },
    ]);
  });

  it.each([
    ['a space', `11 21 a da@example.com \t${ALIKE}`],
    ['a space in one of its forms', `11 21 ada@example.com a da@example.com\t${ALIKE}`],
    ['a line break', `11 21 ada\n@example.com \t${ALIKE}`],
    ['a tab', `11 21 ada\t@example.com \t${ALIKE}`],
    ['nothing', `11 21  \t${ALIKE}`],
    ['nothing, and nothing behind it', `11 21 \t${ALIKE}`],
  ])('are not read at all when an address holds %s: nobody gets the mail of another', (_, line) => {
    expect(() => readDue(line, '{}')).toThrow('an address holds a space, a tab or a line break');
  });
});
