import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CompiledMails } from '../../../../src/delivery/mails/compiled-mails.js';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';

let folders: string[];
beforeEach(() => {
  folders = [];
});
afterEach(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

async function folderWith(texts: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'wellspring-compiled-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
  return folder;
}

const MAIL = `<mjml><mj-head><mj-title>Hello</mj-title></mj-head><mj-body>
  <mj-section><mj-column><mj-include path="./part.mjml" /></mj-column></mj-section></mj-body></mjml>`;
const part = (word: string): string => `<mj-text>${word}</mj-text>`;

it('a mail whose include, subject or text was changed is compiled anew', async () => {
  const folder = await folderWith({ 'mail.mjml': MAIL, 'part.mjml': part('first') });
  expect((await compileMail(folder, 'mail')).text).toBe('first');
  await writeFile(join(folder, 'part.mjml'), part('second'));
  expect((await compileMail(folder, 'mail')).text).toBe('second');
  expect((await compileMail(folder, 'mail', 'Other')).subject).toBe('Other');
  expect((await compileMail(folder, 'mail')).subject).toBe('Hello');
  await writeFile(
    join(folder, 'mail.mjml'),
    MAIL.replace('<mj-column>', '<mj-column><mj-text>top</mj-text>'),
  );
  expect((await compileMail(folder, 'mail')).text).toContain('top');
  await writeFile(join(folder, 'part.mjml'), part('first'));
  await writeFile(join(folder, 'mail.mjml'), MAIL);
  expect(await compileMail(folder, 'mail')).toMatchObject({ subject: 'Hello', text: 'first', source: MAIL });
});

it.each([
  'path = "./part.mjml"',
  "path='./part.mjml'",
  'css-path="a" path="./part.mjml"',
  '\n path\n="./part.mjml"',
])('a mail whose include is written as %j is compiled anew when the part was changed', async (path) => {
  const folder = await folderWith({
    'mail.mjml': MAIL.replace('path="./part.mjml"', path),
    'part.mjml': part('first'),
  });
  expect((await compileMail(folder, 'mail')).text).toBe('first');
  await writeFile(join(folder, 'part.mjml'), part('second'));
  expect((await compileMail(folder, 'mail')).text).toBe('second');
  await writeFile(join(folder, 'part.mjml'), part('<a href="https://ada@example.com/">x</a>'));
  await expect(compileMail(folder, 'mail')).rejects.toThrow('this link is refused');
});

it.each([
  '<mj-include path=./part.mjml />',
  '<MJ-INCLUDE path="./part.mjml" />',
  '<mj-include/path="./part.mjml" />',
  '<mj-include PATH="a.mjml" path=./part.mjml />',
  `<mj-include x=a" path='./part.mjml' y=" path='a.mjml' />`,
  '<mj-include path=./part.mjml title=" path=\'a.mjml\' " />',
  '<mj-include />',
])(
  'an include that MJML might read otherwise than the checks is refused with its line: %s',
  async (include) => {
    const folder = await folderWith({
      'mail.mjml': MAIL.replace('<mj-include path="./part.mjml" />', `\n${include}`),
      'part.mjml': part('first'),
      'a.mjml': part('a'),
    });
    await expect(compileMail(folder, 'mail')).rejects.toThrow(
      'templates/mail.mjml:3: mj-include is written as <mj-include path="./part.mjml" />',
    );
  },
);

it('a mail that was good and has lost its include is refused', async () => {
  const folder = await folderWith({ 'mail.mjml': MAIL, 'part.mjml': part('first') });
  await compileMail(folder, 'mail');
  await rm(join(folder, 'part.mjml'));
  await expect(compileMail(folder, 'mail')).rejects.toThrow('names a file that is not there');
});

const source = (text: string, folder = '/one'): { folder: string; path: string; source: string }[] => [
  { folder, path: `${folder}/mail.mjml`, source: text },
];
const mail = (html: string): { subject: string; html: string; text: string } => ({
  ...{ subject: '', html, text: '' },
});

it('the same texts are the same mail in any folder, and under another name another', () => {
  const compiled = new CompiledMails();
  compiled.keep(source('a'), mail('A'));
  expect(compiled.get(source('a', '/other'))).toEqual(mail('A'));
  expect(compiled.get(source('b'))).toBeUndefined();
  expect(compiled.get([{ folder: '/one', path: '/one/next.mjml', source: 'a' }])).toBeUndefined();
  expect(compiled.get([...source('a'), ...source('a')])).toBeUndefined();
});

it('keeps the youngest of so many characters', () => {
  const compiled = new CompiledMails(10);
  for (const text of ['a', 'b', 'c']) compiled.keep(source(text), mail(text.repeat(4)));
  expect(['a', 'b', 'c'].map((text) => compiled.get(source(text))?.html)).toEqual([
    undefined,
    'bbbb',
    'cccc',
  ]);
  compiled.keep(source('b'), mail('b'));
  compiled.keep(source('d'), mail('dddd'));
  expect(['b', 'c', 'd'].map((text) => compiled.get(source(text))?.html)).toEqual(['b', 'cccc', 'dddd']);
  compiled.keep(source('e'), mail('e'.repeat(11)));
  expect(['b', 'c', 'd', 'e'].map((text) => compiled.get(source(text)))).toEqual([
    ...[undefined, undefined, undefined, undefined],
  ]);
});
