import { describe, expect, it } from 'vitest';
import { checkNumber, documentsOf } from '../../../src/funnels/yaml/funnel-documents.js';
import { readFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { funnelText } from '../../db/sequences/course.js';

const PLAIN = funnelText('- { key: a, email: emails/story, delay: 1 day }');
const SENDER = 'sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }';

describe('the line of a problem', () => {
  it.each<[string, string, number, string]>([
    ['a number as a name', `${PLAIN}5: five\n`, 13, '5'],
    ['true as a name', `${PLAIN}true: yes\n`, 13, 'true'],
    ['nothing as a name', `${PLAIN}~: nothing\n`, 13, ''],
    [
      'a number below a name',
      PLAIN.replace(
        SENDER,
        `sender:\n  name: Ada\n  7: x\n  email: ada@example.com\n  postalAddress: 1 Main St`,
      ),
      5,
      'sender.7',
    ],
    ['an unknown option with a block', `${PLAIN}more:\n  - a\n  - b\n`, 13, 'more'],
    ['a list as a name', `${PLAIN}? [a, b]\n: x\n`, 13, ''],
    ['a map as a name', `${PLAIN}? { a: b }\n: x\n`, 13, ''],
  ])('is that of %s: it was the first of the file', (_, text, line, field) => {
    const file = readFunnelFile(text);
    if (file.ok) throw new Error('the file was taken');
    expect(file.problems.map((one) => `${one.line} ${one.field}`)).toEqual([`${line} ${field}`]);
  });

  it('says of a sequence that it stays with its funnel, and how its people go to another', () => {
    const file = readFunnelFile(PLAIN.replace('sequence:\n', 'sequence:\n  key: other\n'));
    if (file.ok) throw new Error('the file was taken');
    expect(file.problems).toMatchObject([{ line: 6, field: 'sequence.key' }]);
    expect(file.problems[0]?.message).toContain('end it with a step such as { key: on, move: other-funnel }');
  });

  it('is that of the funnel which is one too many', () => {
    const files = documentsOf('funnel: x\n---\n'.repeat(1_001)).map((one) => ({ name: 'all.yaml', ...one }));
    expect(() => checkNumber(files.slice(1))).not.toThrow();
    expect(() => checkNumber(files)).toThrow('all.yaml:2000: here begins one funnel more');
  });
});
