import { describe, expect, it } from 'vitest';
import { documentsOf } from '../../../src/funnels/yaml/funnel-documents.js';
import { readFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { funnelText } from '../../db/sequences/course.js';

const PLAIN = funnelText('- { key: a, email: emails/story, delay: 1 day }');
const KIT = '- { key: course-kit, name: Kit, price: 49.00 EUR }';
const having = (part: string, instead: string): string => {
  expect(PLAIN).toContain(part);
  return PLAIN.replace(part, instead);
};
const read = (text: string) => documentsOf(text).map((one) => readFunnelFile(one.text, one.before));
const problem = (text: string): { line: number | null; field: string; message: string } | undefined => {
  for (const file of read(text)) if (!file.ok) return file.problems[0];
  return undefined;
};
const definition = (text: string) => {
  const [file] = read(text);
  if (!file?.ok) throw new Error(JSON.stringify(file?.problems));
  return file.definition;
};

describe('a funnel file that is odd, and legal YAML', () => {
  it.each([
    [
      'anchors and aliases',
      having('title: A course', 'title: &t Get it').replace('headline: Get it', 'headline: *t '),
    ],
    ['CRLF', PLAIN.replaceAll('\n', '\r\n')],
    ['a byte order mark', `\uFEFF${PLAIN}`],
    ['another before its second funnel', `${PLAIN}---\n\uFEFF${PLAIN}`],
    ['a comment on every line', PLAIN.replaceAll('\n', ' # so\n')],
    ['tabs between a name and its value', having('title: A course', 'title:\tA course')],
    [
      'markers with nothing between them: it was refused for a second document',
      `---\n---\n${PLAIN}---\n# End.\n---\n`,
    ],
    ['the directive of its version', `%YAML 1.2\n---\n${PLAIN}`],
  ])('is read with %s', (_, text) => {
    expect({ ...definition(text), title: 'x' }).toEqual({ ...definition(PLAIN), title: 'x' });
  });

  it('takes over what << names: it was refused as an option nobody knows', () => {
    const merged = having(
      KIT,
      `- &k { key: course-kit, name: Kit, price: 49.00 EUR }\n  - { <<: *k, key: other }`,
    );
    const [kit, other] = definition(merged).products;
    expect(other).toEqual({ ...kit, key: 'other' });
    expect(problem(having(KIT, `${KIT}\n  - { <<: 3, key: other }`))?.message).toContain(
      'Merge sources must be maps',
    );
  });

  const cycle = PLAIN.replace('steps:', 'steps: &s').replace(
    'delay: 1 day }',
    'delay: 1 day }\n    - { key: b, if: { tag: x }, then: *s }',
  );
  it.each<[string, string, number, string, string]>([
    ['a name twice', `${PLAIN}title: Again\n`, 13, 'title', 'each name is used once'],
    [
      'a name twice in a line',
      having('slug: course,', 'slug: course, slug: b,'),
      4,
      'slug',
      'each name is used once',
    ],
    [
      'a tag of its own: it was passed over',
      having('title: A', 'title: !mine A'),
      2,
      '',
      'Unresolved tag: !mine',
    ],
    [
      'a date with a tag',
      having('delay: 1 day', 'until: !!timestamp 2027-01-02'),
      8,
      'sequence.steps.0.until',
      'without one',
    ],
    ['YAML 1.1, where yes is true', `%YAML 1.1\n---\n${PLAIN}`, 1, '', 'YAML 1.1'],
    [
      'YAML 1.1 in its second funnel: it was read as 1.2',
      `${PLAIN}...\n%YAML 1.1\n---\n${PLAIN}`,
      14,
      '',
      'YAML 1.1',
    ],
    [
      'an alias of nothing: it was called too much',
      having('A course', '*nope'),
      2,
      '',
      'there is no &nope before *nope',
    ],
    ['steps within themselves: the stack overflowed', cycle, 9, 'sequence.steps.1.then', 'itself a part of'],
    [
      'a text with NUL: the database refused it',
      having('Send it to me', '"a\\0b"'),
      4,
      'form.consent',
      'U+0000',
    ],
    ['half a character', having('Send it to me', '"a\\uD800b"'), 4, 'form.consent', 'half of a character'],
    [
      'a number too long: it was rounded',
      having('delay: 1 day }', 'delay: 1 day }\n    - { key: b, set: { size: 12345678901234567890 } }'),
      9,
      'sequence.steps.1.set.size',
      'put it in quotes',
    ],
    ['a number for a text', having('title: A course', 'title: 2026'), 2, 'title', 'put it in quotes'],
    ['true for a text', having('title: A course', 'title: true'), 2, 'title', 'is read as true'],
    ['yes for true', having('EUR }', 'EUR, licence: yes }'), 10, 'products.0.licence', 'takes true or false'],
    [
      'a list without entries',
      having(`products:\n  ${KIT}\n`, 'products:\n'),
      9,
      'products',
      'it takes a list, [] for none',
    ],
    [
      'options that are missing',
      having(', headline: Get it', ''),
      4,
      'form.headline',
      'is missing; it takes a text',
    ],
    [
      'another value for one of several kinds',
      having('delay: 1 day }', 'delay: 1 day }\n    - { key: b, set: { size: .inf } }'),
      9,
      'sequence.steps.1.set.size',
      'takes a text or a number or true or false',
    ],
    ['line ends of CR alone', PLAIN.replaceAll('\n', '\r'), 1, '', 'LF or CRLF'],
    [
      'a second document that is no funnel: it was called line 1',
      `${PLAIN}---\n[a]\n`,
      14,
      '',
      'options by name',
    ],
    ['indents by tabs', having('  steps:', '\tsteps:'), 7, '', 'Tabs are not allowed as indentation'],
  ])('is refused for %s', (_, text, line, field, message) => {
    expect(problem(text)).toMatchObject({ line, field, message: expect.stringContaining(message) });
  });

  // Thousands of levels ended the whole process, out of memory or of stack; half a million take no longer than a second.
  it.each([
    ['lists', '['],
    ['maps', '{a: '],
    ['colons in one map', 'a: '],
    ['lists of a block', '- '],
    ['names of a block', '? '],
    ['indents', ''],
  ])('is refused for levels without end, of %s, before it is parsed', (_, level) => {
    const indents = Array.from({ length: 1000 }, (__, depth) => `${' '.repeat(depth)}a:\n`).join('');
    expect(problem(`funnel: x\n${level === '' ? indents : level.repeat(100_000)}`)).toMatchObject({
      field: '',
      message: expect.stringContaining('100 levels are the most'),
    });
  });

  it('holds a hundred levels, and brackets that are none', () => {
    const flat = having('Send it to me', `"${'['.repeat(200)}"`);
    expect(definition(flat).form.consent).toHaveLength(200);
    expect(problem(`funnel: ${'['.repeat(90)}${']'.repeat(90)}\n`)).toMatchObject({ field: 'funnel' });
  });

  it('has many names in one map at once: each pair of them was compared', () => {
    const names = Array.from({ length: 10_000 }, (_, place) => `name${place}: 1\n`).join('');
    expect(problem(names)?.message).toContain('is missing');
  });
});
