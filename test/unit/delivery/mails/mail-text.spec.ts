import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillIn, parseHtmlPart, parseTextPart } from '../../../../src/delivery/mails/liquid.templates.js';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wellspring-text-'));
  await mkdir(join(folder, 'emails'));
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

async function compile(content: string, title = 'Hello') {
  const source = `<mjml><mj-head><mj-title>${title}</mj-title></mj-head><mj-body><mj-section><mj-column>${content}</mj-column></mj-section></mj-body></mjml>`;
  await writeFile(join(folder, 'emails/mail.mjml'), source);
  return compileMail(folder, 'emails/mail');
}

/** What both parts say to a reader, in words alone. */
async function bothParts(content: string, values: Record<string, unknown>): Promise<[string, string]> {
  const { html, text } = await compile(content);
  const body = html.slice(html.indexOf('<body'));
  const shown = fillIn(parseHtmlPart(body), values).replace(/<!--[\s\S]*?-->/g, '');
  const words = (part: string): string =>
    part
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
  return [words(shown), words(fillIn(parseTextPart(text), values))];
}

describe('the text part of a mail', () => {
  /** So many letters that what follows stands near the end of a line. */
  const near = (column: number): string => 'word '.repeat(column / 5);

  it.each([40, 45, 50, 55, 60, 65, 70, 75])(
    'shows the same branch as the HTML when a comparison stands near column %i',
    async (column) => {
      const content = `<mj-text><p>${near(column)}{% if subscriber.fields.plan == "Gold Plus" %}gold{% else %}no gold{% endif %}</p></mj-text>`;
      const [html, text] = await bothParts(content, { subscriber: { fields: { plan: 'Gold Plus' } } });
      expect(html).toBe(`${near(column)}gold`);
      expect(text).toBe(html);
    },
  );

  it.each([
    ['first in its style', '<div style="display:none;max-height:0">A look inside</div>'],
    ['last in its style', '<div style="max-height: 0; overflow: hidden; display: none;">A look inside</div>'],
    ['in capitals', '<span style="DISPLAY:NONE">A look inside</span>'],
    [
      'for some screens alone',
      '<table style="mso-hide:all;display:none"><tr><td>A look inside</td></tr></table>',
    ],
  ])('leaves out what the HTML hides %s', async (_, hidden) => {
    const { text } = await compile(`<mj-text>${hidden}<p>Dear you,</p></mj-text>`);
    expect(text).toBe('Dear you,');
  });

  it.each([
    '<div style="{% if vip %}{% else %}display:none{% endif %}">Your code is 42</div>',
    "<div style='color:red;{% unless vip %}display: none{% endunless %}'>Your code is 42</div>",
    '<div {% unless vip %} style="display:none" {% endunless %}>Your code is 42</div>',
  ])('says what the HTML hides from some readers alone: %s', async (content) => {
    const { text } = await compile(`<mj-text>${content}<p>Yours</p></mj-text>`);
    expect(fillIn(parseTextPart(text), { vip: true })).toMatch(/^Your code is 42\n+Yours$/);
    // It was shown to everybody.
    expect(fillIn(parseTextPart(text), { vip: false }).trim()).toBe('Yours');
  });

  it.each([
    [
      '<div style="{% if vip %}display : None{% endif %}">For others</div><p>Yours</p>',
      'Yours',
      'For others\n\nYours',
    ],
    ['<p>Yours</p><p style="display:{{ look }}">For others</p>', 'Yours', 'Yours\n\nFor others'],
    ['<p>Hi <b style="{% if vip %}display:none{% endif %}">you</b>!</p>', 'Hi !', 'Hi you!'],
    [
      '<table><tr><td>A</td><td style="{% if vip %}display:none;{% endif %}color:red">B</td><td>C</td></tr></table>',
      'A C',
      'A B C',
    ],
    [
      '<div style="{% if vip %}display:none{% endif %}">x{% assign who = "dear" %}</div><p>Yours, {{ who }}</p>',
      'Yours, dear',
      'x\n\nYours, dear',
    ],
    [
      '{% for x in xs %}<p style="{% if vip and x == 1 %}display:none{% endif %}">{{ x }}</p>{% endfor %}',
      '2',
      '1\n\n2',
    ],
    [
      '<div style="{% if vip %}display:none{% endif %}">a<p style="{% unless vip %}display:none{% endunless %}">b</p></div><p>c</p>',
      'c',
      'a\n\nc',
    ],
    // Its end stands in a condition: to whom it shows is not to be told, so it is shown.
    ['<div style="{% if vip %}display:none{% endif %}">a{% if vip %}</div>b{% endif %}', 'a\n\nb', 'a'],
  ])('follows a condition in a style: %s', async (content, vip, other) => {
    const { text } = await compile(`<mj-text>${content}</mj-text>`);
    const part = parseTextPart(text);
    const shown = (values: object): string =>
      fillIn(part, { xs: [1, 2], ...values })
        .trim()
        .replace(/\n+/g, '\n\n')
        .replace(/ +/g, ' ');
    expect(shown({ vip: true, look: 'none' })).toBe(vip);
    expect(shown({ vip: false, look: 'block' })).toBe(other);
  });

  it.each([
    ['<div style="display:none">{% assign who = name %}</div>Dear {{ who }}', 'Dear Kit'],
    [
      '<p style="display:none">x {% capture who %}my {{ name }}{% endcapture %}</p><p>Dear {{ who }}</p>',
      'Dear my Kit',
    ],
    ['<div style="display:none">{% liquid\n assign who = name\n%}</div>Dear {{ who }}', 'Dear Kit'],
    [
      '<div style="display:none">{% liquid\n assign who = name\n echo "x" %} y</div>Dear {{ who }}',
      'Dear Kit',
    ],
    ['<p>{% liquid\n assign who = name %}</p><p>Dear {{ who }}</p>', 'Dear Kit'],
    ['<div style="display:none">{% if name %}x</div>Dear {{ name }}{% endif %}', 'Dear Kit'],
    ['<div style="display:none">{% if name %}x{{ name }}{% else %}y{% endif %}</div>Dear you', 'Dear you'],
  ])('knows what was set where it is hidden: %s', async (content, expected) => {
    const { text } = await compile(`<mj-text>${content}</mj-text>`);
    expect(fillIn(parseTextPart(text), { name: 'Kit' }).trim()).toBe(expected);
  });

  it('has the links of all pictures of a carousel, each once', async () => {
    const images = ['one', 'two', 'three'].map(
      (name) =>
        `<mj-carousel-image src="https://x.test/${name}.png" href="https://x.test/${name}" alt="${name}" />`,
    );
    const { text } = await compile(`<mj-carousel>${images.join('')}</mj-carousel>`);
    expect(text.split(/\n+/)).toEqual([
      'one [https://x.test/one]',
      'two [https://x.test/two]',
      'three [https://x.test/three]',
    ]);
  });

  it('has none of the signs that fill up a preview line, and keeps those that words are written with', async () => {
    const filling = '&#847;&zwnj;&nbsp;'.repeat(90);
    const { text } = await compile(
      `<mj-text><p>A look inside ${filling}</p><p>می\u200cخواهم, 👩\u200d🌾 and soft\u00adhyphens</p></mj-text>`,
    );
    expect(text).toBe('A look inside\n\nمی\u200cخواهم, 👩\u200d🌾 and soft\u00adhyphens');
  });

  it('has one empty line where the HTML has spacers', async () => {
    const spacer = '<table><tr><td>&nbsp;</td></tr></table>';
    const { text } = await compile(
      `<mj-text><p>One</p>${spacer}<p>&hairsp;</p>${spacer}<br/><br/><br/><p>Two</p></mj-text>`,
    );
    expect(text).toBe('One\n\nTwo');
  });

  it('keeps blanks in what a variable is compared with', async () => {
    const content = '<mj-text>{% if plan == "Gold  Plus" %}gold{% else %}no gold{% endif %}</mj-text>';
    expect(await bothParts(content, { plan: 'Gold  Plus' })).toEqual(['gold', 'gold']);
  });

  it.each([50, 55, 60, 65, 70])('prints a default as it was written near column %i', async (column) => {
    const content = `<mj-text><p>${near(column)}{{ name | default: "my dear old friend of long standing" }}</p></mj-text>`;
    const { text } = await compile(content);
    expect(fillIn(parseTextPart(text), {})).toContain('my dear old friend of long standing');
  });

  it('leaves the name in a heading as the reader wrote it', async () => {
    const content = [1, 2, 3, 4, 5, 6].map((n) => `<h${n}>Dear {{ name }}</h${n}>`).join('');
    const { text } = await compile(`<mj-text>${content}</mj-text>`);
    expect(fillIn(parseTextPart(text), { name: 'Grace' }).match(/Dear Grace/g)).toHaveLength(6);
  });

  it('breaks its lines where they are read, whatever stands in the variables', async () => {
    const sentence = 'Grow a garden with {{ name | default: "friend", allow_false: true }} in every season. ';
    const { text } = await compile(`<mj-text><p>${sentence.repeat(8)}</p></mj-text>`);
    const lines = fillIn(parseTextPart(text), { name: 'us' }).split('\n');
    expect(lines.every((line) => line.length <= 80)).toBe(true);
    // Not shorter than need be either: a long variable once took the place of words.
    expect(lines.slice(0, -1).every((line) => line.length > 55)).toBe(true);
  });

  it('gives the address of a link as browsers read it', async () => {
    const { text } = await compile(
      '<mj-text><a href="https://x.test/?a=1&#38;b=2\n  ">look</a></mj-text><mj-button href="{{ url | append: \'?a=1 \' }}">go</mj-button>',
    );
    expect(text).toContain('look [https://x.test/?a=1&b=2]');
    expect(fillIn(parseTextPart(text), { url: 'https://y.test/' })).toContain('go [https://y.test/?a=1 ]');
  });

  it('takes a variable with quotation marks in the address of a link', async () => {
    const { html, text } = await compile(
      '<mj-text><a href="https://x.test/{{ plan | default: "free" }}">look</a></mj-text>',
    );
    expect(fillIn(parseTextPart(text), {})).toBe('look [https://x.test/free]');
    expect(fillIn(parseHtmlPart(html), {})).toContain('<a href="https://x.test/free">look</a>');
  });

  it('keeps a tag that looks like HTML', async () => {
    const content = '<mj-text>{% if count > 3 and name == "<b>" %}many{% else %}few{% endif %}</mj-text>';
    expect(await bothParts(content, { count: 4, name: '<b>' })).toEqual(['many', 'many']);
  });

  it('puts each row of a table on a line of its own, also those of a loop', async () => {
    const rows =
      '{% for line in lines %}<tr><td>{{ line.name }}</td> <td>{{ line.price }}</td></tr>{% endfor %}<tr><td>Sum</td> <td>3</td></tr>';
    const { text } = await compile(`<mj-table>${rows}</mj-table>`);
    const lines = [
      { name: 'Kit', price: 1 },
      { name: 'List', price: 2 },
    ];
    expect(fillIn(parseTextPart(text), { lines })).toBe('Kit 1\nList 2\nSum 3');
  });

  it.each([
    ['<tr><td>Course</td><td>$10</td></tr><tr><th>Sum</th><td>$10</td></tr>', 'Course $10\nSum $10'],
    ['<tr>{% for x in xs %}<td>{{ x }}</td>{% endfor %}<td>end</td></tr>', 'a b end'],
    ['<tr><td><p>One</p></td><td><p>Two</p></td></tr>', 'One\n\nTwo'],
  ])('parts the cells of a row, which ran into one word: %s', async (rows, expected) => {
    const { text } = await compile(`<mj-table>${rows}</mj-table>`);
    expect(fillIn(parseTextPart(text), { xs: ['a', 'b'] })).toBe(expected);
  });

  it.each([
    [
      '<mj-image href="https://x.test/" src="https://x.test/a.png" alt="Our caf&eacute; {{ name }}" />',
      'Our café Kit [https://x.test/]',
    ],
    [
      '<mj-text><a href="https://x.test/"><img src="https://x.test/a.png" alt="Look" /> here</a></mj-text>',
      'Look here [https://x.test/]',
    ],
    ['<mj-image href="https://x.test/" src="https://x.test/a.png" alt="" />', 'https://x.test/'],
    ['<mj-image src="https://x.test/a.png" alt="Sand" /><mj-text>Hello</mj-text>', 'Hello'],
  ])(
    'says what a linked picture shows, of which the address alone was left: %s',
    async (content, expected) => {
      const { text } = await compile(content);
      expect(fillIn(parseTextPart(text), { name: 'Kit' })).toBe(expected);
    },
  );

  it.each([
    [{ a: true, b: true }, 'Before\n\nOne\n\nTwo\n\nAfter'],
    [{ a: true }, 'Before\n\nOne\n\nAfter'],
    [{ b: true }, 'Before\n\nTwo\n\nAfter'],
    [{}, 'Before\n\nAfter'],
  ])('leaves no empty lines where a condition stood: %o', async (values, expected) => {
    const between = (name: string, words: string): string =>
      `<mj-raw>{% if ${name} %}</mj-raw><mj-text><p>${words}</p></mj-text><mj-raw>{% endif %}</mj-raw>`;
    const { text } = await compile(
      `<mj-text><p>Before</p></mj-text>${between('a', 'One')}${between('b', 'Two')}<mj-text><p>After</p></mj-text>`,
    );
    expect(fillIn(parseTextPart(text), values)).toBe(expected);
  });

  it.each([
    [
      '<mj-social><mj-social-element name="web" href="https://x.test/">Our page</mj-social-element></mj-social>',
      'Our page [https://x.test/]',
    ],
    [
      '<mj-text><a href="mailto:ada@x.test?subject=About%20it">Write to me</a></mj-text>',
      'Write to me [ada@x.test]',
    ],
    [
      '<mj-table><tr><td>&nbsp;</td><td>One</td><td>&nbsp;</td></tr><tr><td>&nbsp;</td><td>Two</td></tr></mj-table>',
      'One\nTwo',
    ],
  ])(
    'has no address twice, no subject of a letter, and no blanks around its lines: %s',
    async (content, expected) => {
      const { text } = await compile(content);
      expect(text).toBe(expected);
    },
  );

  it.each([
    ['<div>a{% if a %}<p>b</p>{% endif %}</div><p>c</p>', 'a\n\nc'],
    ['<div>a {% unless b %}{% if a %}<p>b</p>{% endif %}{% endunless %}</div><p>c</p>', 'a\n\nc'],
    ['<p>a{% if a %} b{% endif %}</p><p>c</p>', 'a\n\nc'],
  ])('parts the words around a condition that does not hold: %s', async (content, expected) => {
    const { text } = await compile(`<mj-text>${content}</mj-text>`);
    expect(fillIn(parseTextPart(text), {})).toBe(expected);
  });

  it('keeps the lines of a list in a condition apart from what follows', async () => {
    const { text } = await compile(
      '<mj-text>{% if items %}<ul>{% for item in items %}<li>{{ item }}</li>{% endfor %}</ul>{% endif %}<p>After</p></mj-text>',
    );
    expect(fillIn(parseTextPart(text), { items: ['one', 'two'] }).trim()).toBe('* one\n * two\n\nAfter');
  });

  it.each([
    [
      '<p>Hello</p><p>{% for x in xs %}<br />- {{ x }}{% endfor %}</p><p>Bye</p>',
      /^Hello\n+- a\n- b\n\nBye$/,
    ],
    ['<p>Yours:</p>{% for x in xs %}<p>{{ x }}{% endfor %}</p>', /^Yours:\n+a\n\nb$/],
    [
      '<p>Hello</p><p>{% for x in xs %}{% if x %}<br />- {{ x }}{% endif %}{% endfor %}</p>',
      /^Hello\n+- a\n- b$/,
    ],
    [
      '<p>{% for x in xs %}<br />{% for y in xs %}{{ y }}<br />{% endfor %}= {{ x }}{% endfor %}</p>',
      /^\na\nb\n= a\na\nb\n= b$/,
    ],
    ['<p>Hello</p>{% for x in xs %}<p>{{ x }}</p>{% endfor %}<p>Bye</p>', /^Hello\n\na\n\nb\n\nBye$/],
    ['<p>Hello</p>{% for x in xs %}{% endfor %}<p>Bye</p>', /^Hello\n\nBye$/],
  ])('keeps the items of a loop in lines of their own, which ran together: %s', async (content, expected) => {
    const { text } = await compile(`<mj-text>${content}</mj-text>`);
    expect(fillIn(parseTextPart(text), { xs: ['a', 'b'] })).toMatch(expected);
  });

  it('prints letters that are written as entities within a variable', async () => {
    const content = `{{ name | default: "caf&eacute; &#38; &quot;bar&quot;" }}{% if name == "caf&eacute;" %}!{% endif %}`;
    const { text } = await compile(`<mj-text>${content}</mj-text>`);
    expect(fillIn(parseTextPart(text), {})).toBe('café & &quot;bar&quot;');
    expect(fillIn(parseTextPart(text), { name: 'caf&eacute;' })).toBe('caf&eacute;!');
  });

  it('takes no longer for a text of line breaks', async () => {
    const { text } = await compile(
      `<mj-text><pre>x${'\n'.repeat(200_000)}y{% if a %}z{% endif %}</pre></mj-text>`,
    );
    expect(text).toMatch(/^x\n+y/);
  });
});
