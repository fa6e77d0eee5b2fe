import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  emit,
  fillIn,
  parseHtmlPart,
  parseTextPart,
} from '../../../../src/delivery/mails/liquid.templates.js';
import { EncodedEmitter, PlainEmitter } from '../../../../src/delivery/mails/mail-emitter.js';
import { deceptiveLink } from '../../../../src/delivery/mails/link-check.js';
import { alwaysShown } from '../../../../src/delivery/mails/hidden-duties.js';
import {
  linkTags,
  linkTemplates,
  withoutScriptLinks,
  personalLinks,
} from '../../../../src/delivery/mails/mail-links.js';
import { textOfHtml } from '../../../../src/delivery/mails/mail-text.js';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';
import { supportNotes } from '../../../../src/delivery/preflight/client-support.js';
import { linksOf } from '../../../../src/delivery/preflight/mail-checks.js';
import { emptyPlaces, isPrinted } from '../../../../src/delivery/preflight/variables.templates.js';

/** One second is Liquid's own limit; the rest is for what clears memory meanwhile. */
const ENDS_WITHIN_MS = 6_000;

function timed<T>(work: () => T): T {
  const from = process.cpuUsage();
  try {
    return work();
  } finally {
    expect(sinceMs(from)).toBeLessThan(ENDS_WITHIN_MS);
  }
}

function spentMs(work: () => unknown): number {
  const from = process.cpuUsage();
  work();
  return sinceMs(from);
}

/** Of work, not of waiting for a machine that does other things, or stands still. */
function sinceMs(from: NodeJS.CpuUsage): number {
  return process.cpuUsage(from).user / 1_000;
}

const doubled = (times: number): string =>
  `{% assign s = 'xxxxxxxxxx' %}${'{% assign s = s | append: s %}'.repeat(times)}{{ s }}`;
const nestedLoops = (depth: number, inside: string): string =>
  '{% for i in (1..1000) %}'.repeat(depth) + inside + '{% endfor %}'.repeat(depth);

const ENDLESS: readonly (readonly [what: string, source: string])[] = [
  ['an endless loop', nestedLoops(6, 'x')],
  ['an endless loop of nothing', nestedLoops(6, '')],
  ['an endless loop that writes nothing', nestedLoops(6, '{% assign a = 1 %}')],
  [
    'an endless table',
    '{% tablerow i in (1..1000) %}{% for j in (1..1000) %}{% for k in (1..1000) %}x{% endfor %}{% endfor %}{% endtablerow %}',
  ],
  ['a range without end', '{% for i in (1..999999999999) %}x{% endfor %}'],
  ['a range as large as a reader says', '{% for i in (1..subscriber.fields.many) %}x{% endfor %}'],
  ['a string that doubles', doubled(40)],
  ['a loop that writes much', `{% for i in (1..4000000) %}${'long '.repeat(20_000)}{% endfor %}`],
  ['a date as wide as a book', "{{ 'now' | date: '%500000000d' }}"],
  ['a replacement of everything by much', `${doubled(14)}{{ s | replace: 'x', s }}`],
  ['a split and a join', `${doubled(16)}{% assign a = s | split: '' %}{{ a | join: s }}`],
];

describe('a template that would not end', () => {
  const variables = { subscriber: { fields: { many: 1e12 } } };
  it.each(ENDLESS)('ends in an error: %s', (_, source) => {
    const part = timed(() => parseHtmlPart(source));
    expect(() => timed(() => fillIn(part, variables))).toThrow();
    const emitter = new EncodedEmitter(part.fixed);
    expect(() =>
      timed(() => emit(parseTextPart(source), { own: variables, outer: null }, emitter)),
    ).toThrow();
    expect(emitter.end().length).toBeLessThan(6_000_000);
  });

  it.each(ENDLESS)('does not hold up the checks of its variables: %s', (_, source) => {
    const work = (): void => {
      isPrinted([source], variables, 'subscriber.name');
      emptyPlaces([source], variables);
    };
    expect(spentMs(work)).toBeLessThan(2 * ENDS_WITHIN_MS);
  });

  it('and a good one that goes before and after is not touched by it', () => {
    const good = parseHtmlPart('Hello {{ name }}');
    expect(fillIn(good, { name: 'Ada' })).toBe('Hello Ada');
    expect(() => fillIn(parseHtmlPart(nestedLoops(6, 'x')), {})).toThrow('limit exceeded');
    expect(emit(good, { own: { name: 'Grace' }, outer: null }, new PlainEmitter())).toBe('Hello Grace');
  });

  it('reads no file, neither by include nor by render nor by layout', () => {
    for (const tag of ['include', 'render', 'layout'])
      expect(() => fillIn(parseHtmlPart(`{% ${tag} '/etc/passwd' %}`), {})).toThrow();
  });
});

describe('a source that is too much', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ws-hostile-'));
    await mkdir(join(folder, 'emails'));
  });
  afterAll(async () => rm(folder, { recursive: true }));

  const mail = (body: string): string =>
    `<mjml><mj-head><mj-title>Hello</mj-title></mj-head><mj-body><mj-section><mj-column><mj-text>${body}</mj-text></mj-column></mj-section></mj-body></mjml>`;
  const repeated = (text: string, length = 390_000): string => text.repeat(Math.floor(length / text.length));

  it.each([
    [
      'is too long',
      mail('x'.repeat(400_000)),
      /emails\/draft\.mjml:1: it has \d+ characters; 400000 are the most/,
    ],
    [
      'nests conditions without end',
      mail('{% if a %}'.repeat(20_000) + '{% endif %}'.repeat(20_000)),
      /emails\/draft\.mjml/,
    ],
    ['opens conditions and closes none', mail(repeated('{% if a %}')), /emails\/draft\.mjml:\d+/],
    ['nests elements without end', mail(repeated('<mj-column>')), /emails\/draft\.mjml:\d+/],
    ['nests HTML without end', mail(repeated('<div>')), /emails\/draft\.mjml:1: .* too deep/],
    ['opens includes and closes none', repeated('<mj-include '), /emails\/draft\.mjml:\d+/],
    ['opens comments and closes none', repeated('<!--'), /emails\/draft\.mjml:\d+/],
    ['opens tags and closes none', mail(repeated('{{ a')), /emails\/draft\.mjml:\d+/],
    ['opens short tags and closes none', mail(repeated('{{')), /emails\/draft\.mjml:\d+/],
    ['opens conditions without an end', mail(repeated('{%')), /emails\/draft\.mjml:\d+/],
    [
      'has a subject with a control character',
      mail('x').replace('Hello', 'Hel\u0007lo'),
      /the subject in <mj-title>: use one line/,
    ],
    [
      'has a subject that turns its letters round',
      mail('x').replace('Hello', 'Hel\u202Elo'),
      /the subject in <mj-title>: use one line/,
    ],
    ['has a subject of a page', mail('x').replace('Hello', 'Hello '.repeat(60)), /at most 300 characters/],
  ])('is refused with its file when it %s', async (_, source, expected) => {
    await writeFile(join(folder, 'emails/draft.mjml'), source);
    const from = process.cpuUsage();
    await expect(compileMail(folder, 'emails/draft')).rejects.toMatchObject({
      code: 'TEMPLATE_INVALID',
      message: expect.stringMatching(expected),
    });
    expect(sinceMs(from)).toBeLessThan(2 * ENDS_WITHIN_MS);
  });

  it('is refused in a moment when it has an element whose name does not end: that took eight seconds', async () => {
    await writeFile(join(folder, 'emails/draft.mjml'), `<mj-${repeated('a-')}`);
    const from = process.cpuUsage();
    await expect(compileMail(folder, 'emails/draft')).rejects.toMatchObject({ code: 'TEMPLATE_INVALID' });
    expect(sinceMs(from)).toBeLessThan(2_000);
  });

  it('is looked through in a moment where style sheets have no end', () => {
    expect(spentMs(() => alwaysShown(repeated('<style>'), '1 Main St, Springfield'))).toBeLessThan(1_500);
  });

  it.each(['{{', '{{{ ', 'a {{ b '])(
    'has its text in a time that grows as its length, when it has %s without an end: 180,000 characters took seconds',
    (text) => {
      const textMs = (length: number): number => {
        const html = `<p>{% raw %}${repeated(text, length)}{% endraw %}</p>`;
        return Math.min(...[1, 2, 3].map(() => spentMs(() => textOfHtml(html))));
      };
      // Some kernels count processor time by their own ticks: less than one of them is none.
      const shortMs = Math.max(1, textMs(15_000));
      // Eight times as long; where each is compared with all behind it, that is 64 times the work.
      expect(textMs(120_000)).toBeLessThan(24 * shortMs);
    },
  );

  it.each([
    ...['<a ', '<img ', '<a href="', '<meta ', '<link rel="', '<!--[if ', "<a href='x"],
    ...['<a href="{{', '{{<a href="}}', '{{ href="}}', '<a href={{', '{%<a href=\'%}<a href="'],
  ])('keeps no check of the compiled mail busy: %s again and again', (text) => {
    const html = repeated(text);
    for (const check of [
      () => linkTemplates(html),
      () => personalLinks(linkTags(html)),
      () => withoutScriptLinks(html),
      () => alwaysShown(html, '1 Main St, Springfield'),
      () => deceptiveLink(html),
      () => linksOf(html, 'https://own.example.com'),
      () => supportNotes(html),
    ])
      expect(spentMs(check)).toBeLessThan(ENDS_WITHIN_MS);
  });
});
