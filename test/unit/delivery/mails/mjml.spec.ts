import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillIn, parseHtmlPart, parseTextPart } from '../../../../src/delivery/mails/liquid.templates.js';
import { KEEPERS } from '../../../../src/delivery/mails/bare-parts.js';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'wellspring-mjml-'));
  folder = join(root, 'templates');
  for (const name of ['emails', 'layouts']) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(root, 'secret.mjml'), '<mj-section></mj-section>');
  await writeFile(join(folder, 'layouts/foot.mjml'), section('Foot of {{ sender.name }}'));
  await writeFile(
    join(folder, 'layouts/broken.mjml'),
    '<mj-section>\n<mj-column>\n<mj-text bogus="1">x</mj-text></mj-column></mj-section>',
  );
  await writeFile(join(folder, 'layouts/words.mjml'), `${section('x')}\nSee you`);
  await writeFile(join(folder, 'layouts/empty.mjml'), '<!-- Nothing yet. -->\n');
  await writeFile(join(folder, 'layouts/loop.mjml'), '<mj-include path="loop.mjml" />');
});
afterAll(async () => rm(root, { recursive: true, force: true }));

const section = (text: string): string =>
  `<mj-section><mj-column><mj-text>${text}</mj-text></mj-column></mj-section>`;
const mail = (body: string, head = '<mj-title>Hello &amp; welcome,\n {{ name }}</mj-title>'): string =>
  `<mjml>\n<mj-head>${head}</mj-head>\n<mj-body>\n${body}\n</mj-body>\n</mjml>`;

async function compile(source: string) {
  await writeFile(join(folder, 'emails/mail.mjml'), source);
  return compileMail(folder, 'emails/mail');
}

describe('compiling a mail', () => {
  it('gives a subject of one line, HTML and a text, with the variables still open', async () => {
    const compiled = await compile(
      mail(
        section('<p>Dear {{ name }}, <a href="{{ url }}">look</a></p>') +
          '<mj-include path="../layouts/foot.mjml" />',
      ),
    );
    expect(compiled.subject).toBe('Hello &amp; welcome, {{ name }}');
    expect(compiled.html).toContain('href="{{ url }}"');
    expect(compiled.text).toContain('look [{{ url }}]');
    expect(compiled.text).toContain('Foot of {{ sender.name }}');
  });

  it.each([
    ['<mj-font name="Lato" href="https://type.example.com/lato" />', 'https://type.example.com/lato', true],
    ['<mj-include path="../layouts/font.mjml" />', 'https://type.example.com/lato?a=1&b=2', true],
    [
      '<mj-raw><link href="https://fonts.example.com/css" rel="stylesheet"></mj-raw>',
      'https://fonts.example.com/css',
      true,
    ],
    ['<mj-style>@import "https://x.test/a.css"; p { color: red }</mj-style>', 'https://x.test/a.css', false],
    [
      '<mj-style>@import url(https://x.test/a;b.css);p{color:red}</mj-style>',
      'https://x.test/a;b.css',
      false,
    ],
  ])(
    'loads no style sheet from elsewhere, which told its server who reads: %s',
    async (head, href, isFont) => {
      await writeFile(
        join(folder, 'layouts/font.mjml'),
        '<mjml><mj-head><mj-font name="Lato" href="https://type.example.com/lato?a=1&amp;b=2" /></mj-head></mjml>',
      );
      const source = mail(
        '<mj-section><mj-column><mj-text font-family="Lato, Arial"><p>Hi</p></mj-text></mj-column></mj-section>',
        `<mj-title>T</mj-title><mj-raw><link rel="preconnect" href="https://y.test"></mj-raw>${head}`,
      );
      for (const _ of ['first', 'known']) {
        const { html, outside } = await compile(source);
        expect(html).not.toMatch(/<link|@import|y\.test|type\.example|x\.test/);
        expect(html).toContain('font-family:Lato, Arial');
        expect(outside).toEqual([
          { href, isFont, names: head.includes('font') && !head.includes('raw') ? ['Lato'] : [] },
        ]);
      }
    },
  );

  it('keeps conditions and loops between elements, also in a layout: both branches went to everybody', async () => {
    await writeFile(
      join(folder, 'layouts/choice.mjml'),
      '<mj-section><mj-column>{% unless pro %}<mj-text>Upgrade</mj-text>{% endunless %}</mj-column></mj-section>',
    );
    const { html, text } = await compile(
      mail(`{% assign who = name -%}
<!-- {% if -->{% for x in xs %}<mj-section>{% if pro > 1 %}<mj-column><mj-text>{{ who }} {{ x }}</mj-text></mj-column>{% endif %}</mj-section>{% endfor %}
<mj-include path="../layouts/choice.mjml" />
<mj-section><mj-column><mj-social>{% if pro %}<mj-social-element name="web" href="https://x.test/">Page</mj-social-element>{% endif %}</mj-social></mj-column></mj-section>`),
    );
    for (const part of [parseHtmlPart(html), parseTextPart(text)]) {
      const shown = (values: object): string => fillIn(part, { name: 'Kit', xs: [1, 2], ...values });
      expect(shown({ pro: 2 })).toMatch(/Kit 1[\s\S]*Kit 2[\s\S]*Page/);
      expect(shown({ pro: 2 })).not.toContain('Upgrade');
      expect(shown({})).toContain('Upgrade');
      expect(shown({})).not.toMatch(/Kit [12]|Page/);
    }
  });

  it('takes blanks, comments and what other files are included as for no words', async () => {
    await writeFile(join(folder, 'layouts/look.css'), 'p { color: #222 }\n');
    await writeFile(join(folder, 'layouts/old.html'), '<div>Kept as it is</div>');
    const { html, text } = await compile(
      `\uFEFF<?xml version="1.0"?>\n{% comment %} for May {% endcomment %}\n${mail(
        `&nbsp;<!-- a note > here -->\u00a0{% comment %} not <mj-section><mj-column><mj-text>this</mj-text></mj-column></mj-section> {% if %} {% endcomment %}{% # nor this %}
<mj-raw>Raw <mj-text>words</mj-text> stay</mj-raw>
<mj-include path="../layouts/old.html" type="html" />${section('a < b')}`,
        '<mj-title>T</mj-title><mj-include type="css" path="../layouts/look.css" /><mj-attributes><mj-all padding="0" /></mj-attributes><mj-html-attributes><mj-selector path=".a"><mj-html-attribute name="data-x">42</mj-html-attribute></mj-selector></mj-html-attributes>',
      )}\n`,
    );
    expect(text).toMatch(/Raw[\s\S]*words[\s\S]*stay[\s\S]*Kept as it is[\s\S]*a < b/);
    expect(html).toContain('color: #222');
    expect(fillIn(parseTextPart(text), {})).not.toContain('this');
  });

  it.each(['\u200b', '\u00ad\n\u2060', '&zwnj;&nbsp;', '&#8203;', '&#xFEFF;&shy;', '&#0160;&#10;'])(
    'takes %j between elements for no words, as what is pasted leaves it: nobody saw what was refused',
    async (blank) => {
      const { text } = await compile(mail(`${section('x')}${blank}${section('y')}`));
      expect(text).toMatch(/^x\s+y$/);
    },
  );

  it.each([';', '>', '&gt;', '}', '\n---\n'])(
    'leaves %j between elements to MJML, which drops it: nobody misses it, and the mail was refused',
    async (stray) => {
      const { text } = await compile(mail(`${section('x')}${stray}${section('y')}`));
      expect(text).toMatch(/^x\s+y$/);
    },
  );

  it.each([
    [
      'comments name <mjml>',
      `<!-- for a <mjml> mail -->\n${section('Part')}`,
      'take <mjml> out of its comments',
    ],
    [
      'root has attributes',
      `<mjml lang="en"><mj-body>${section('Part')}</mj-body></mjml>`,
      'begin it with <mjml>',
    ],
  ])('refuses to include a file whose %s: none of its words reached anybody', async (_, part, advice) => {
    await writeFile(join(folder, 'layouts/part.mjml'), part);
    const source = mail(`<mj-include path="../layouts/part.mjml" />${section('x')}`);
    await expect(compile(source)).rejects.toThrow(advice);
  });

  it('includes the body of a whole mail, with comments or without, and HTML that names <mjml>', async () => {
    const part = `<!-- a <mjml> mail --><mjml><mj-body>${section('Part')}</mj-body></mjml>`;
    await writeFile(join(folder, 'layouts/part.mjml'), part);
    await writeFile(join(folder, 'layouts/part.html'), '<!-- for <mjml> --><p>Page</p>');
    const html = '<mj-include path="../layouts/part.html" type="html" />';
    const { text } = await compile(mail(`<mj-include path="../layouts/part.mjml" />${html}${section('x')}`));
    expect(text).toMatch(/Part[\s\S]*Page[\s\S]*x/);
  });

  it('knows of every element of MJML whether it keeps words', async () => {
    const { components } = await import('mjml-core');
    const keepers = Object.entries(components).filter(
      ([, one]) => one !== undefined && 'endingTag' in one && one.endingTag === true,
    );
    expect([...KEEPERS].toSorted()).toEqual(
      [...keepers.map(([name]) => name), 'mj-html-attribute'].toSorted(),
    );
  });

  it('keeps the preview line out of the text', async () => {
    const { html, text } = await compile(
      mail(section('Body'), '<mj-title>T</mj-title><mj-preview>A first look</mj-preview>'),
    );
    expect(html).toContain('A first look');
    expect(text).toBe('Body');
  });

  it.each([
    [
      'a link that runs a script',
      mail(section('<a href="javascript:alert(1)">x</a>')),
      'emails/mail.mjml:5: this link',
    ],
    [
      'a link with another scheme than it shows',
      mail('<mj-include path="../layouts/foot.mjml" />') + `<a href='https://ada@example.com/'>`,
      'emails/mail.mjml:7: this link',
    ],
    [
      'a variable between elements',
      mail('<mj-section>\n<mj-column>{{ name }}</mj-column></mj-section>'),
      'emails/mail.mjml:6: {{ name }} stands between elements, where MJML drops it',
    ],
    [
      'a tag where no MJML may stand',
      mail(section('<p>x</p>')).replace('<mj-body>', '{% assign a = 1 %}<mj-body>'),
      'emails/mail.mjml:4: {% assign a = 1 %} stands between elements',
    ],
    [
      'words between elements, which reached nobody',
      mail('<mj-section>\n<mj-column>\nHello <b>you</b>\n<mj-text>x</mj-text></mj-column></mj-section>'),
      'emails/mail.mjml:7: Hello stands between elements, where MJML drops it; put it',
    ],
    [
      'words in an element that shows none',
      mail(
        '<mj-section>\n<mj-column><mj-image src="https://x.test/a.png">My dog</mj-image></mj-column></mj-section>',
      ),
      'emails/mail.mjml:6: My dog stands between',
    ],
    [
      'words behind a condition that is kept',
      mail(
        '<mj-section><mj-column>{% if pro %}\n <!-- b --> Great &amp; small{% endif %}</mj-column></mj-section>',
      ),
      'emails/mail.mjml:6: Great &amp; small stands between',
    ],
    [
      'words behind the mail',
      `${mail(section('x'))}\nPS: hello`,
      'emails/mail.mjml:8: PS: hello stands between',
    ],
    [
      'words and variables between the elements of a layout',
      mail('<mj-include path="../layouts/words.mjml" />'),
      'layouts/words.mjml:2: See you stands between',
    ],
    ['an unknown element', mail('<mj-foo />'), 'emails/mail.mjml:5: Element mj-foo'],
    [
      'an unknown attribute in a layout',
      mail('<mj-include path="../layouts/broken.mjml" />'),
      'layouts/broken.mjml:3: Attribute bogus',
    ],
    [
      'a missing layout',
      mail('\n<mj-include path="../layouts/none.mjml" />'),
      'emails/mail.mjml:6: mj-include names a file that is not there: ../layouts/none.mjml',
    ],
    [
      'an include of nothing, which was called a failure of the parser',
      mail('\n<mj-include path="../layouts/empty.mjml" />'),
      'emails/mail.mjml:6: mj-include names a file that is empty: ../layouts/empty.mjml',
    ],
    [
      'a file outside',
      mail('<mj-include path="../../secret.mjml" />'),
      'emails/mail.mjml:5: mj-include leaves the folder',
    ],
    [
      'an absolute path',
      mail('<mj-include path="/etc/passwd" type="html" />'),
      'emails/mail.mjml:5: mj-include leaves the folder',
    ],
    [
      'a layout that includes itself',
      mail('<mj-include path="../layouts/loop.mjml" />'),
      'layouts/loop.mjml:1: mj-include goes round',
    ],
    ['an open element', mail('<mj-section>'), 'emails/mail.mjml:5: <mj-section> is not closed'],
    ['an open Liquid tag', mail(section('\n{% if name %}Hi')), 'emails/mail.mjml:6: tag'],
    ['an unknown filter', mail(section('{{ name | shout }}')), 'emails/mail.mjml:5: undefined filter: shout'],
    [
      'a part that Liquid would read, which failed in each mail that was sent',
      mail(section(`x\n{% render 'foot' %}`)),
      'emails/mail.mjml:6: mails have no tag "render"; here it is <mj-include path="…" />',
    ],
    [
      'a condition of Handlebars',
      mail(section('x\n{{#if name}}Hi{{/if}}')),
      'emails/mail.mjml:6: {{#if name}} is a tag of Handlebars; here it is {% if %}…{% endif %}',
    ],
    [
      'three braces',
      mail(section('Hi {{{ name }}}')),
      'emails/mail.mjml:5: {{{ name }}} is a tag of Handlebars; here it is {{ … }}',
    ],
    [
      'a part of Handlebars',
      mail(section('{{> foot title="x" }}')),
      'emails/mail.mjml:5: {{> foot title="x" }} is a tag of Handlebars; here it is <mj-include path="…" />',
    ],
    [
      'a tag of another system',
      mail(section('{% unsubscribe %}')),
      'emails/mail.mjml:5: tag "unsubscribe" not found; here it is {{ unsubscribeUrl }}',
    ],
    ['no subject', mail(section('x'), ''), 'emails/mail.mjml:1: <mj-title> is missing'],
    ['no text', mail('<mj-section></mj-section>'), 'emails/mail.mjml:1: the mail has no text'],
  ])('refuses %s with file, line and reason', async (_, source, message) => {
    await expect(compile(source)).rejects.toMatchObject({
      code: 'TEMPLATE_INVALID',
      message: expect.stringContaining(`templates/${message}`),
    });
  });

  it('takes comments that name elements, where MJML leaves them alone', async () => {
    const styles =
      '<mj-style>/* as <mj-text> in <mj-section>, not behind </mj-column> */ p { color: #123456 }</mj-style>';
    const { html, text } = await compile(
      mail(
        `${section('a {% comment %} without <mj-image> {% endcomment %}b')}${section('c')}`,
        `<mj-title>T</mj-title>${styles}`,
      ),
    );
    expect(html).toContain('color: #123456');
    expect(fillIn(parseTextPart(text), {})).toMatch(/^a b\s+c$/);
  });

  it.each([
    ['where it would be an element', `{% comment %}<mj-image>{% endcomment %}${section('x')}`, 'mj-image'],
    ['that would end another way', section('a {% comment %} <mj-text> {% endcomment %} b'), 'mj-text'],
    ['that is none', section('/* <mj-image> */'), 'mj-image'],
    ['that has no end', section('{% comment %} <mj-image>'), ''],
  ])('refuses a comment that names an element %s', async (_, body, name) => {
    await expect(compile(mail(body))).rejects.toMatchObject({
      code: 'TEMPLATE_INVALID',
      message: expect.stringContaining(name),
    });
  });

  it('takes what another language would read where it stands as an example', async () => {
    const { text } = await compile(mail(section(`{% raw %}{% render 'foot' %} {{#if}}{% endraw %}`)));
    expect(text).toContain('{{#if}}');
  });

  it('refuses what is no MJML, a key that leaves the folder, and a mail that is not there', async () => {
    await expect(compile('hello')).rejects.toMatchObject({ code: 'TEMPLATE_INVALID' });
    await expect(compileMail(folder, '../secret')).rejects.toMatchObject({ code: 'TEMPLATE_INVALID' });
    await expect(compileMail(folder, 'emails/none')).rejects.toMatchObject({ code: 'TEMPLATE_NOT_FOUND' });
  });
});
