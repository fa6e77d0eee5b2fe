import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../../config/env.js';
import { linksOf } from '../../../../src/delivery/preflight/mail-checks.js';
import { deceptiveLink } from '../../../../src/delivery/mails/link-check.js';
import { linkTemplates, markLinks } from '../../../../src/delivery/mails/mail-links.js';
import { MailRenderer, type RenderedMail } from '../../../../src/delivery/mails/mail-renderer.service.js';
import { locationOf } from '../../../../src/tracking/click-target.js';
import { readClickToken } from '../../../../src/tracking/tracking-token.js';

const SECRET = Buffer.alloc(32, 7);
const CONFIG = { ...readConfig({}), baseUrl: 'https://mail.example.com', secretKey: SECRET };
const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' };
const TELLS_NOBODY = { hidden: async () => undefined, linksLeftOut: async () => undefined };
const LONG = 'a'.repeat(3_000);

/** What the reader's mail program finds as the address of the link, and the page where it brings them. */
async function pressed(
  html: string,
  reader: { tracked: boolean; fields?: Record<string, unknown> },
): Promise<{ href: string; opens: string | null; subject: string }> {
  const { urls, ...mail } = await mailOf(html, reader);
  const attribute = /<a[^>]*?\shref\s*=\s*(?:"([^"]*)"|'([^']*)')/.exec(mail.html);
  const href = attribute?.[1] ?? attribute?.[2] ?? '';
  const token = /^https:\/\/mail\.example\.com\/c\/(.+)$/.exec(href)?.[1];
  const { subject } = mail;
  if (token === undefined) return { href, opens: null, subject };
  const click = readClickToken(SECRET, token);
  if (click === null) throw new Error('no token of ours');
  const location = locationOf(click.url ?? urls.get(click.linkId) ?? '');
  if (location === null) throw new Error('the reader gets our page "No such link"');
  expect(location).toMatch(/^[\u0021-\u007e]+$/);
  return { href, opens: new URL(location).href, subject };
}

/** With the addresses of its links by their ids. */
async function mailOf(
  html: string,
  { tracked, fields = {} }: { tracked: boolean; fields?: Record<string, unknown> },
): Promise<RenderedMail & { urls: Map<string, string> }> {
  const ids = new Map(linkTemplates(html).map((url, index) => [url, String(index + 1)]));
  const urls = new Map([...ids].map(([url, id]) => [id, url]));
  const version = {
    id: '1',
    subject: 'It&apos;s caf&eacute; &amp; tea',
    text: '',
    html: markLinks(html, ids),
    isJudged: true,
  };
  const renderer = new MailRenderer({ version: async () => version }, CONFIG as never, TELLS_NOBODY);
  const foot = `${SENDER.postalAddress} <a href="{{ unsubscribeUrl }}">out</a>`;
  version.html += foot;
  const mail = await renderer.render({
    id: '5',
    class: 'marketing',
    address: 'grace@example.com',
    sender: SENDER,
    data: {},
    funnelTitle: null,
    subscriberId: '6',
    subscriberName: 'Grace',
    subscriberFields: fields,
    trackingConsent: tracked,
    templateId: '1',
  });
  return { ...mail, urls };
}

/** As it stands in the HTML, and what a browser opens that gets it. */
const OPENS: [string, string, string][] = [
  ['a blank at the end', 'https://example.com/page ', 'https://example.com/page'],
  ['a blank before it', ' https://example.com/page', 'https://example.com/page'],
  ['a line break before the closing quote', 'https://example.com/page\n   ', 'https://example.com/page'],
  ['a line break within', 'https://example.com/\npage', 'https://example.com/page'],
  ['a tab within', 'https://exam\tple.com/page', 'https://example.com/page'],
  ['a blank within', 'https://example.com/my guide.pdf', 'https://example.com/my%20guide.pdf'],
  ['an ampersand as a number', 'https://x.test/?a=1&#38;b=2', 'https://x.test/?a=1&b=2'],
  ['one in hex', 'https://x.test/?a=1&#x26;b=2', 'https://x.test/?a=1&b=2'],
  ['an apostrophe by its name', 'https://x.test/it&apos;s', "https://x.test/it's"],
  ['a letter by its name', 'https://x.test/caf&eacute;', 'https://x.test/caf%C3%A9'],
  ['a parameter that looks like a name', 'https://x.test/?a=1&copy=2', 'https://x.test/?a=1&copy=2'],
  ['a line break as a number', 'https://x.test/a&#10;b', 'https://x.test/ab'],
  ['an IDN host', 'https://bücher.de/neu?a=ü#ß', 'https://xn--bcher-kva.de/neu?a=%C3%BC#%C3%9F'],
  ['an IDN host with a port', 'https://bücher.de:8443/', 'https://xn--bcher-kva.de:8443/'],
  ['a host in wide letters', 'https://ｅxample．com/', 'https://example.com/'],
  ['an IPv6 host', 'http://[2001:db8::1]:8080/a', 'http://[2001:db8::1]:8080/a'],
  ['a quotation mark', 'https://x.test/&quot;a&quot;', 'https://x.test/%22a%22'],
  ['an emoji in the path', 'https://x.test/🎉/a', 'https://x.test/%F0%9F%8E%89/a'],
  ['an escape that is no UTF-8', 'https://x.test/%E4?q=%FC', 'https://x.test/%E4?q=%FC'],
  ['a percent sign that escapes nothing', 'https://x.test/100%?q=50%', 'https://x.test/100%?q=50%'],
  ['a long query', `https://x.test/?q=${LONG}`, `https://x.test/?q=${LONG}`],
  ['a port and a fragment', 'http://x.test:8080/a#b?c', 'http://x.test:8080/a#b?c'],
  ['a scheme in capitals', 'HTTPS://X.TEST/A', 'https://x.test/A'],
  ['no path', 'https://x.test?a=b', 'https://x.test/?a=b'],
  ['two slashes in the path', 'https://x.test//a//b', 'https://x.test//a//b'],
];

describe('an odd link leads the tracked reader where it leads any other', () => {
  it.each(OPENS)('%s', async (_, attribute, page) => {
    const html = `<a href="${attribute}">x</a>`;
    expect(deceptiveLink(html)).toBeNull();
    expect((await pressed(html, { tracked: true })).opens).toBe(page);
    const untouched = await pressed(html, { tracked: false });
    const read = untouched.href.replaceAll('&amp;', '&').replaceAll('&#34;', '"').replaceAll('&#39;', "'");
    expect(new URL(read).href).toBe(page);
  });

  it.each(OPENS)(
    '%s, between blanks around the equals sign and in single quotes',
    async (_, attribute, page) => {
      const html = `<a class="x" href = '${attribute}'>x</a>`;
      expect(deceptiveLink(html)).toBeNull();
      expect((await pressed(html, { tracked: true })).opens).toBe(page);
    },
  );

  it.each(OPENS)('%s, of what a reader has', async (_, attribute, page) => {
    const site = attribute
      .replace('&#38;', '&')
      .replace('&#x26;', '&')
      .replace('&#10;', '\n')
      .replaceAll('&quot;', '"')
      .replace('&apos;', "'")
      .replace('&eacute;', 'é');
    const html = '<a href="\n{{ subscriber.fields.site }}">x</a>';
    const { href, opens } = await pressed(html, { tracked: true, fields: { site } });
    // Too long for a token: it stands in the mail as it is.
    if (attribute.includes(LONG)) expect(href).toBe(attribute);
    else expect(opens).toBe(page);
  });

  it.each([
    'mailto:ada@example.com?subject=A%20question&amp;body=Hi',
    'tel:+431234567',
    '#top',
    'https://ada:secret@x.test/',
    'https://x.test/a\u0001b',
    'https://x.test/a\u2028b',
    '//x.test/a',
    'https:x.test',
    'https://',
    'https://[::1/',
    'https://x.test:99999/',
    'https://x.test\\a',
  ])('%j stands in the mail as it is', async (attribute) => {
    const html = `<a href="${attribute}">x</a>`;
    for (const tracked of [true, false]) expect((await pressed(html, { tracked })).href).toBe(attribute);
  });

  it('its subject is read as it was written, whatever its letters are called', async () => {
    const { subject } = await pressed('<p>x</p>', { tracked: true });
    expect(subject).toBe("It's café & tea");
  });

  it('a variable with quotation marks within the address is part of it', async () => {
    const html = '<a href="https://x.test/{{ subscriber.fields.plan | default: "free" }}?a&#38;b">x</a>';
    expect((await pressed(html, { tracked: true })).opens).toBe('https://x.test/free?a&b');
    expect((await pressed(html, { tracked: true, fields: { plan: 'gold' } })).opens).toBe(
      'https://x.test/gold?a&b',
    );
  });
});

/** Values of a reader that no link of a mail may lead to. */
const NOWHERE = [
  'javascript:alert(1)',
  ' JaVaScRiPt:alert(1)',
  'java\tscript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:x',
  'file:///etc/passwd',
  'my page',
  'x.test:8080/a',
  'localhost:8080/x',
  'Hello: world',
  'note:see below',
  'mailto: ada@example.com',
  '//x.test/a',
  '#top',
  'https://',
  '',
];

describe('a link that leads nowhere for one reader', () => {
  const links = [
    '<a class="b" href="{{ subscriber.fields.site }}">your page</a>',
    "<a href='{{ subscriber.fields.site }}'>your page</a>",
    '<a href={{ subscriber.fields.site }}>your page</a>',
    '<a class="{% if 2 > 1 %}b{% endif %}" href="{{ subscriber.fields.site }}">your page</a>',
    '<area shape="rect" href="{{ subscriber.fields.site }}">your page',
    '<a href="{% if subscriber.fields.none %}x{% endif %}{{ subscriber.fields.site }}">your page</a>',
    '<a href="{{ subscriber.fields.site | default: unsubscribeUrl | replace: baseUrl, subscriber.fields.site }}">your page</a>',
  ];

  it.each(NOWHERE)('%j: its words stay, without it', async (site) => {
    for (const html of links.slice(0, site === '' ? 6 : 7))
      for (const tracked of [true, false]) {
        const { html: mail, leftOut } = await mailOf(html, { tracked, fields: { site } });
        expect(mail).toContain('your page');
        expect(mail.match(/href=/g)).toHaveLength(1);
        expect(leftOut).toHaveLength(1);
      }
  });

  it('goes to who has an address, in all of these ways of writing it', async () => {
    for (const html of links)
      for (const site of ['https://x.test/a?b=1&c="', 'mailto:ada@example.com', 'tel:+431234567']) {
        const { html: mail, leftOut } = await mailOf(html, { tracked: false, fields: { site } });
        expect(mail).toContain(`href="${site.replace('&', '&amp;').replace('"', '&#34;')}"`);
        expect(leftOut).toEqual([]);
      }
  });

  it.each([
    [
      '{% if true %}mailto: {{ subscriber.fields.site }}{% endif %}',
      'ada@example.com',
      'mailto: ada@example.com',
    ],
    ['{% if true %}tel: +49 {{ subscriber.fields.site }}{% endif %}', '30 123', 'tel: +49 30 123'],
    ['{{ subscriber.fields.none | default: "SMS:  +49" }}', '', 'SMS:  +49'],
    ['tel: {{ subscriber.fields.site }}', '+49', 'tel: +49'],
  ])('calls whom the mail calls with a blank behind the colon: %s', async (href, site, called) => {
    const mail = await mailOf(`<a href='${href}'>call</a>`, { tracked: true, fields: { site } });
    expect(mail.html).toContain(`href="${called}"`.replaceAll('"', href.startsWith('tel') ? "'" : '"'));
    expect(mail.leftOut).toEqual([]);
  });

  it('calls nobody where nobody stands behind the colon', async () => {
    const html = '<a href="{% if true %}tel: {{ subscriber.fields.none }}{% endif %}">call</a>';
    expect((await mailOf(html, { tracked: true })).leftOut).toHaveLength(1);
  });

  it('was stored before it was refused: it is left out for everybody', async () => {
    const { html } = await mailOf('<a href="java&#115;cript:alert(1)">x</a>', { tracked: true });
    expect(html).not.toMatch(/script/);
    expect(html).toContain('<a >x</a>');
  });

  it.each([
    ['<a href="javascript:alert(1)">me</a>', '<a >me</a>'],
    ["<a class='b' href = ' java\tscript:alert(1)'>me</a>", "<a class='b' >me</a>"],
    ['<a href=data:text/html,x>me</a>', '<a >me</a>'],
    [
      '<a title=\' href="x\' href="java&#115;cript:a">me</a> <a href="vbscript:x">me</a>',
      "<a title=' href=\"x' >me</a> <a >me</a>",
    ],
    ['<a href="{{ x" HREF="file:///a{{">me</a>', '<a href="{{ x" >me</a>'],
  ])('in HTML that a reader has typed lost them the whole mail: %s goes without it', async (bio, left) => {
    const html = '<p>{{ subscriber.fields.bio | raw }}</p>';
    for (const tracked of [true, false]) {
      const mail = await mailOf(html, { tracked, fields: { bio } });
      expect(mail.html).toContain(`<p>${left}</p>`);
      expect(mail.leftOut.length).toBeGreaterThan(0);
    }
  });

  it.each(['https://x.test/', 'sms:+49123', 'webcal://x.test/a.ics', '#top'])(
    'is none of %s in HTML that a reader has typed: it lost them the whole mail',
    async (href) => {
      const bio = `<a href="${href}">me</a>`;
      const mail = await mailOf('{{ subscriber.fields.bio | raw }}', { tracked: false, fields: { bio } });
      expect(mail.html).toContain(bio);
      expect(mail.leftOut).toEqual([]);
    },
  );
});

describe('a link that a program opens and no browser', () => {
  const links = [
    'sms:+49123?body=Hi',
    'webcal://x.test/webinar.ics',
    'whatsapp://send?text=Hi',
    'skype:ada?call',
    'ftp://files.example/x',
    'com.example.app:/news',
  ];
  it.each(links)('went out without its address, and now stands in the mail as it is: %s', async (href) => {
    const own = '<a href="{{ subscriber.fields.link }}">x</a>';
    expect(deceptiveLink(`<a href="${href}">x</a>`)).toBeNull();
    for (const html of [`<a href="${href}">x</a>`, `<a href=${href}>x</a>`, own])
      for (const tracked of [true, false]) {
        const mail = await mailOf(html, { tracked, fields: { link: href } });
        expect(mail.html).toMatch(/^<a href="?[a-z.]+:[^ ]+>x<\/a>/);
        expect(mail.html).toContain(href);
        expect(mail.leftOut).toEqual([]);
        expect(linksOf(mail.html, 'https://own.example').findings).toEqual([]);
      }
  });

  it('goes out where its scheme is known from the template alone', async () => {
    const html = `<a href="{{ subscriber.fields.none | default: 'myapp:' }}{{ subscriber.fields.link }}">x</a>`;
    const { href } = await pressed(html, { tracked: true, fields: { link: 'news' } });
    expect(href).toBe('myapp:news');
  });

  it('goes to a number that a reader has', async () => {
    const html = '<a href="sms:{{ subscriber.fields.phone }}">x</a>';
    expect((await pressed(html, { tracked: true, fields: { phone: '+49123' } })).href).toBe('sms:+49123');
  });
});

describe('a link that is refused when the mail is saved', () => {
  it.each([
    'java&#115;cript:alert(1)',
    'java&#x73;cript:alert(1)',
    'file:///etc/{{ subscriber.fields.x }}',
    'java&Tab;script:alert(1)',
    'javascript&colon;alert(1)',
    '&#1;javascript:alert(1)',
    'https://ada:secret@x.test/',
    '&sol;&sol;x.test',
    '&bsol;\\x.test',
    'https&colon;&sol;&sol;ada&commat;x.test',
  ])('%s', (attribute) => {
    for (const html of [
      `<a href="${attribute}">x</a>`,
      `<a href='${attribute}'>x</a>`,
      `<a href=${attribute}>x</a>`,
      `<a class="b"href = "${attribute}">x</a>`,
      `<a/href="${attribute}">x</a>`,
    ])
      expect(deceptiveLink(html)).not.toBeNull();
  });
});
