import { describe, expect, it } from 'vitest';
import { guessTargets, readColumns } from '../../../src/imports/columns.js';
import type { FieldDefinition } from '../../../src/subscribers/field.js';

const DEFINITIONS: ReadonlyMap<string, FieldDefinition> = new Map();

describe('columns', () => {
  it('are read where a column is called as what it is made into: when they agreed was left out', () => {
    expect(guessTargets(['Email', 'consent_at', 'Consent IP', 'topics_off'], DEFINITIONS).targets).toEqual([
      ...['email', 'consentAt', 'consentIp', 'topicsOff'],
    ]);
  });

  it('names columns that nothing is made of', () => {
    expect(readColumns(['email', 'shoe size'], {}, DEFINITIONS)).toMatchObject({
      columns: { ignored: ['shoe size'] },
    });
  });

  it.each([
    ['no address', ['name'], {}, 'no column holds the address'],
    [
      'two addresses',
      ['Email', 'E-mail address'],
      {},
      '"Email" (#1) and "E-mail address" (#2) would both be email',
    ],
    ['a header twice', ['email', 'x', 'x'], { x: 'name' }, 'several columns are called so'],
    ['a column that is not there', ['email'], { '#3': 'name' }, 'there is no such column'],
    ['a target that is none', ['email', 'x'], { x: 'secret' }, 'nothing a column can be'],
    [
      'a field that nobody has defined',
      ['email', 'x'],
      { x: 'field:secret' },
      'there is no field "secret" yet; define it first',
    ],
  ])('are refused: %s', (_, headers, mapping, message) => {
    const read = readColumns(headers, mapping as Record<string, string>, DEFINITIONS);
    expect(
      JSON.stringify(read.ok ? [] : read.problems.map((problem) => problem.message)).replaceAll('\\"', '"'),
    ).toContain(message);
  });
});
