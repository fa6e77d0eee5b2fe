import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isTest, missingTests } from '../../fault/shown-by-tests.js';

it('every test that the table of faults names is there under its title', async () => {
  expect(await missingTests(join(import.meta.dirname, '../../..'))).toEqual([]);
});

describe('a title that the table of faults names', () => {
  const runs = (...lines: string[]): boolean => isTest(lines.join('\n'), 'keeps it');

  it('is that of a test which runs', () => {
    expect(runs("  it('keeps it', async () => {", '  });')).toBe(true);
    expect(runs('  it(', "    'keeps it',", '    async () => {')).toBe(true);
  });

  it.each([
    ['skipped', "  it.skip('keeps it', async () => {"],
    ['still to be written', "  it.todo('keeps it');"],
    ['in a comment', "  // it('keeps it', async () => {"],
    ['in a comment of several lines', "/*\nit('keeps it', async () => {\n*/"],
    ['in a group that is skipped', "describe.skip('x', () => {\n  it('keeps it', async () => {"],
    ['beside one that alone is run', "it.only('y', async () => {});\nit('keeps it', async () => {"],
    ['part of another', "it('keeps it not', async () => {"],
    ['mere words', "const title = 'keeps it';"],
  ])('is not enough when it is %s', (_, text) => {
    expect(isTest(text, 'keeps it')).toBe(false);
  });
});
