import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { supportNotes } from '../../../../src/delivery/preflight/client-support.js';
import { probeLinks } from '../../../../src/delivery/preflight/links.probe.js';
import { linksOf, mailFindings } from '../../../../src/delivery/preflight/mail-checks.js';
import {
  emptyPlaces,
  kindOf,
  lineOfVariable,
  without,
} from '../../../../src/delivery/preflight/variables.templates.js';
import { isPublicAddress } from '../../../../src/infra/public-address.js';
import { SafeFetch, type Resolve } from '../../../../src/infra/safe-fetch.js';

describe('an address of the public internet', () => {
  it.each(['93.184.216.34', '8.8.8.8', '2606:2800:220:1::1'])('is %s', (ip) =>
    expect(isPublicAddress(ip)).toBe(true),
  );
  it.each([
    '127.0.0.1',
    '127.255.255.254',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '192.0.0.8',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd12::1',
    'fec0::1',
    'ff02::1',
    '100::1',
    'localhost',
    '',
  ])('is not %s', (ip) => expect(isPublicAddress(ip)).toBe(false));
});

describe('asking addresses that others wrote', () => {
  let hits = 0;
  const canary = createServer((_, answer) => {
    hits++;
    answer.end('inside');
  });
  let port = 0;
  beforeAll(async () => {
    await new Promise<void>((resolve) => canary.listen(0, '127.0.0.1', resolve));
    ({ port } = canary.address() as AddressInfo);
  });
  afterAll(async () => new Promise((resolve) => canary.close(resolve)));

  const names: Record<string, string[]> = {
    'inner.test': ['127.0.0.1'],
    'mixed.test': ['93.184.216.34', '127.0.0.1'],
    'metadata.test': ['169.254.169.254'],
    'six.test': ['::1'],
    'mapped.test': ['::ffff:127.0.0.1'],
  };
  const resolve: Resolve = async (name) => {
    if (!names[name]) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    return names[name].map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  };

  it.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0177.0.0.1/',
    'http://0x7f.0.0.1/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://0/',
    'http://169.254.169.254/latest/meta-data/',
    'http://10.0.0.1/',
    'http://inner.test/',
    'https://mixed.test/',
    'http://metadata.test/',
    'http://six.test/',
    'http://mapped.test/',
    'http://user:pass@example.com/',
    'http://example.com:22/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'gopher://127.0.0.1/',
    'nonsense',
  ])('never leads inside: %s', async (url) => {
    const fetch = new SafeFetch('https://own.example.com', resolve);
    expect(await fetch.probe(url)).toMatchObject({ kind: 'refused' });
    await fetch.close();
    expect(hits).toBe(0);
  });

  it('says that a name does not exist', async () => {
    const fetch = new SafeFetch('https://own.example.com', resolve);
    expect(await fetch.probe('https://nowhere.test/')).toEqual({ kind: 'failed', reason: 'ENOTFOUND' });
    await fetch.close();
  });

  it('reaches our own address on loopback, follows redirects there and never out of it into another inside', async () => {
    const paths: string[] = [];
    const own = createServer(({ url = '', method }, answer) => {
      paths.push(`${method} ${url}`);
      if (url === '/moved') return answer.writeHead(301, { location: '/there' }).end();
      if (url === '/out') return answer.writeHead(302, { location: `http://127.0.0.1:${port}/secret` }).end();
      if (url === '/name') return answer.writeHead(302, { location: 'http://inner.test/secret' }).end();
      if (url === '/round') return answer.writeHead(302, { location: '/round' }).end();
      if (url === '/no-head' && method === 'HEAD') return answer.writeHead(405).end();
      if (url === '/gone') return answer.writeHead(404).end();
      if (url === '/slow') return undefined;
      return answer.end('x'.repeat(1_000_000));
    });
    await new Promise<void>((done) => own.listen(0, '127.0.0.1', done));
    const origin = `http://127.0.0.1:${(own.address() as AddressInfo).port}`;
    const fetch = new SafeFetch(origin, resolve);
    expect(await fetch.probe(`${origin}/moved`)).toEqual({
      kind: 'answered',
      status: 200,
      finalUrl: `${origin}/there`,
    });
    expect(await fetch.probe(`${origin}/no-head`)).toMatchObject({ kind: 'answered', status: 200 });
    expect(await fetch.probe(`${origin}/gone`)).toMatchObject({ status: 404 });
    expect(await fetch.probe(`${origin}/out`)).toMatchObject({ kind: 'refused' });
    expect(await fetch.probe(`${origin}/name`)).toMatchObject({ kind: 'refused' });
    expect(await fetch.probe(`${origin}/round`)).toMatchObject({
      kind: 'failed',
      reason: 'more than 5 redirects',
    });
    expect(await fetch.probe(`${origin}/slow`)).toEqual({ kind: 'failed', reason: 'no answer within 5 s' });
    const whole = await fetch.download(`${origin}/moved`, 1_000_000);
    expect(whole.kind === 'answered' && whole.bytes?.length).toBe(1_000_000);
    expect(await fetch.download(`${origin}/there`, 999_999)).toMatchObject({ status: 200, bytes: null });
    expect(await fetch.download(`${origin}/out`, 10)).toMatchObject({ kind: 'refused' });
    expect(paths).toContain('GET /no-head');
    expect(hits).toBe(0);
    await fetch.close();
    own.closeAllConnections();
    await new Promise((done) => own.close(done));
  });
});

describe('links of a mail', () => {
  const own = 'https://own.example.com';
  it('are found with their escapes undone, each once; strange ones are named', () => {
    const { urls, findings } = linksOf(
      `<a href="https://a.example.com/?x=1&amp;y=2">a</a> <a class=x href='https://a.example.com/?x=1&amp;y=2'>b</a>
       <a href="mailto:a@example.com">m</a> <a href="tel:+49">t</a> <a href="tel: +49 30 123">b</a> <img src="https://a.example.com/p.png" alt="">
       <a href="">e</a> <a href="javascript:alert(1)">j</a> <a href="http://b.example.com/">h</a> <a href="//c.example.com">r</a>
       <a href="note: see below">n</a>`,
      own,
    );
    expect(urls).toEqual(['https://a.example.com/?x=1&y=2', 'https://a.example.com/p.png']);
    expect(findings.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'fail a link leads nowhere',
      'fail javascript:alert(1) is none of https, mailto and tel',
      'warn http://b.example.com/ is not https',
      'fail //c.example.com is none of https, mailto and tel',
      'fail note: see below is none of https, mailto and tel',
    ]);
  });

  it('are told of once, however often they stand there, with what to look for in the source', () => {
    const { findings } = linksOf(
      `<a href="#">a</a><a href="">b</a> <a href='#'>c</a><img src=""><a href="#top">up</a><a href="mailto:">m</a>`,
      own,
    );
    expect(findings.map(({ level, message, times, found }) => [level, message, times, found])).toEqual([
      ['fail', 'a link leads nowhere', 3, 'href="#"'],
      ['fail', 'a picture has no address', 1, 'src=""'],
      ['warn', '#top leads to a place in the mail, which many programs cannot go to', 1, 'href="#top"'],
      ['fail', 'mailto: leads nowhere: nobody stands behind it', 1, 'href="mailto:"'],
    ]);
  });

  it('are asked, but for pages of ours that a token opens, and fifty of them at most', async () => {
    const asked: string[] = [];
    const answers: Record<string, number> = {
      'https://a.example.com/gone': 404,
      'https://a.example.com/no': 403,
    };
    const fetch: Pick<SafeFetch, 'probe'> = {
      probe: async (url) => {
        asked.push(url);
        return { kind: 'answered', status: answers[url] ?? 200, finalUrl: url };
      },
    };
    const many = Array.from({ length: 60 }, (_, index) => `https://a.example.com/${index}`);
    const urls = [
      ...Object.keys(answers),
      `${own}/u/token`,
      `${own}/offer/kit?m=x`,
      `${own}/assets/a.html`,
      ...many,
    ];
    const findings = await probeLinks(urls, fetch, own);
    expect(findings.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'fail https://a.example.com/gone answers 404',
      'warn https://a.example.com/no answers 403 to us; look at it yourself',
      'unknown 13 more links were not asked',
    ]);
    expect(asked).toHaveLength(50);
    expect(asked).toContain(`${own}/assets/a.html`);
    expect(asked.some((url) => url.includes('/u/') || url.includes('/offer/'))).toBe(false);
  });
});

describe('a rendered mail', () => {
  const good = {
    html: '<p>Hello</p><p>Ada, 12 Mill Lane, Springfield <a href="https://x/u/t">Leave</a></p>',
    text: 'Hello, this is a letter with enough words in it.\nhttps://x/u/t\n12 Mill Lane,\nSpringfield',
    unsubscribeUrl: 'https://x/u/t',
    senderName: 'Ada',
    postalAddress: '12 Mill Lane, Springfield',
    marketing: true,
  };
  const ACCORDION = '<img src="https://i.imgur.com/bIXv1bk.png" alt="+" class="mj-accordion-more">';
  it.each<[string, Partial<typeof good>, string[]]>([
    ['is good', {}, []],
    ['is as large as Gmail shows', { html: 'x'.repeat(102 * 1024), marketing: false }, ['warn size']],
    ['is one byte larger', { html: 'x'.repeat(102 * 1024 + 1), marketing: false }, ['fail size']],
    ['has no text', { text: ' ' }, ['fail text']],
    ['has a text without the way out', { text: good.text.replace('/u/t', '') }, ['warn unsubscribe']],
    ['has a text without the address', { text: good.text.replace('Mill', '') }, ['warn sender']],
    ['has a picture without alt', { html: '<img src="x">', marketing: false }, ['warn clients']],
    ['has an accordion with icons as MJML has them', { html: ACCORDION, marketing: false }, ['warn clients']],
    ['is no marketing', { marketing: false, text: 'x'.repeat(40) }, []],
  ])('that %s', (_, change, expected) => {
    expect(mailFindings({ ...good, ...change }).map(({ level, check }) => `${level} ${check}`)).toEqual(
      expected,
    );
  });
});

describe('a mail whose style sheet has rules for some screens', () => {
  const foot = (style: string, sheet: string): string =>
    `<style>${sheet}</style><div class="foot desktop" style="${style}">Ada, 12 Mill Lane <a href="https://x/u/t">Leave</a></div>`;
  const told = (html: string): string[] =>
    mailFindings({
      html,
      text: 'Ada wrote this letter with enough words. https://x/u/t 12 Mill Lane',
      ...{
        unsubscribeUrl: 'https://x/u/t',
        senderName: 'Ada',
        postalAddress: '12 Mill Lane',
        marketing: true,
      },
    }).map(({ level, message }) => `${level} ${message}`);
  const PHONE = '@media only screen and (max-width: 480px)';
  const DARK = '@media (prefers-color-scheme: dark)';

  it.each([
    [
      `${PHONE} { .desktop { display: none !important } }`,
      'warn on phones readers cannot see the link to unsubscribe: display: none',
    ],
    [
      `${DARK} { .foot { color: #111 !important; background: #111 !important } }`,
      'warn in dark mode readers cannot see the link to unsubscribe: its colour is that of what is behind it',
    ],
    [
      `${DARK} { body { background: #111 } .foot { display: none } }`,
      'warn in dark mode readers cannot see the link to unsubscribe: display: none',
    ],
  ])('is told that it hides its way out there: %s', (sheet, expected) => {
    expect(told(foot('color: #333', sheet))[0]).toBe(expected);
  });

  it.each([
    ['', `${PHONE} { .foot { padding: 0 !important } } ${DARK} { .foot { color: #eee; background: #111 } }`],
    ['', `${PHONE} { .mobile { display: block !important } }`],
    ['', `${DARK} { body, td { background: #111 !important } .foot { color: #fff !important } }`],
    ['', `${DARK} { u + .body{background-color:#111} .foot { color: #fff !important } }`],
    ['display: block', `${PHONE} { .desktop { display: none } }`],
    ['', '@media print { .foot { display: none } } @font-face { src: url(x) }'],
  ])('has nothing told against it where it shows it: style %s, %s', (style, sheet) => {
    expect(told(foot(style, sheet))).toEqual([]);
  });

  it('may show another foot there in place of the usual one', () => {
    const other =
      '<p class="mobile" style="display:none">Ada, 12 Mill Lane <a href="https://x/u/t">Leave</a></p>';
    const sheet = `${PHONE} { .desktop { display: none !important } .mobile { display: block !important } }`;
    expect(told(`${foot('', sheet)}${other}`)).toEqual([]);
  });
});

describe('what mail programs leave out', () => {
  it.each([
    ['<div style="display: flex">', 'warn display: flex'],
    ['<div style="display:grid">', 'warn display: grid'],
    ['<div style="position:absolute">', 'warn position'],
    ['<div style="float:left">', 'warn float'],
    ['<div style="transform: rotate(3deg)">', 'warn transform'],
    ['<style>.a{animation: x 1s}</style>', 'warn animation'],
    ['<div style="color: var(--ink)">', 'warn CSS variables'],
    ['<div style="background:#fff url(x.png)">', 'warn background-image'],
    ['<div style="column-count: 2">', 'warn columns'],
    ['<style>.a{aspect-ratio: 16/9}</style>', 'warn aspect-ratio'],
    ['<audio src="x"></audio>', 'warn <audio>'],
    ['<video src="x"></video>', 'warn <video>'],
    ['<svg></svg>', 'warn <svg>'],
    ['<img alt="" src="https://x/logo.svg">', 'warn an SVG picture'],
    ['<img alt="" src="https://x/p.webp?x=1">', 'warn a WebP picture'],
    ['<form action="x">', 'fail <form>'],
    ['<input name="q">', 'fail <form>'],
    [
      '<input class="menu" type="checkbox">',
      'warn a part that opens when it is pressed is left out by Gmail',
    ],
    ['<input type="radio" checked>', 'warn a part that opens when it is pressed'],
    ['<style>@font-face{font-family:x}</style>', 'warn a web font (@font-face) is left out by Gmail'],
    ['<script>x</script>', 'fail <script>'],
    ['<iframe src="x">', 'fail <iframe>'],
    ['<p onclick="x()">', 'fail an event handler'],
    ['<link rel="stylesheet" href="x">', 'fail an outside style sheet'],
    ['<img src="data:image/png;base64,x" alt="">', 'fail a data: picture'],
  ])('%s', (html, expected) => {
    expect(supportNotes(html).map(({ level, message }) => `${level} ${message}`)[0]).toMatch(
      new RegExp(`^${expected.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`),
    );
  });

  it('sees the style sheet of a web font where MJML puts it, for all but Outlook', () => {
    const fonts =
      '<!--[if !mso]><!--><link href="https://fonts.example.com/css" rel="stylesheet"><style>@import url(x);</style><!--<![endif]-->';
    expect(
      supportNotes(`<!--[if mso]><b></b><![endif]-->${fonts}<!--[if lte mso 11]><i><![endif]-->`),
    ).toEqual([expect.objectContaining({ message: 'an outside style sheet does not belong in a mail' })]);
  });

  it('is not said of what stands for Outlook alone, nor of text-transform', () => {
    expect(supportNotes('<!--[if mso]><div style="position:absolute"></div><![endif]-->')).toEqual([]);
    const picture = '<div style="background:#fff url(https://x.test/a.png)">';
    expect(
      supportNotes(`<!--[if mso]><v:rect><v:fill src="https://x.test/a.png" /><![endif]-->${picture}`),
    ).toEqual([]);
    expect(supportNotes('<p style="text-transform: uppercase; border-radius: 3px">')).toEqual([]);
  });
});

describe('variables', () => {
  const values = { subscriber: { name: 'Ada', firstName: 'Ada' }, offer: { expiresAt: null } };
  it.each([
    ['Hi {{ subscriber.firstName }}', true],
    [`Hi {{ subscriber.firstName | default: 'you' }}`, false],
    ['{% if subscriber.firstName %}Hi {{ subscriber.firstName }}{% endif %}', false],
    [`{% assign n = subscriber.firstName | default: 'you' %}Hi {{ n }}`, false],
    ['{% if subscriber.name %}{% else %}Hi {{ subscriber.firstName }}{% endif %}', false],
    ['Hi {{ subscriber.name }}', false],
  ])('%s: an empty place without a first name? %s', (source, expected) => {
    expect(emptyPlaces([source], without(values, 'subscriber.firstName')).has('subscriber.firstName')).toBe(
      expected,
    );
  });

  it('tell what a template is for, and stand on a line', () => {
    expect(kindOf('{{ confirmUrl }}')).toBe('confirmation');
    expect(kindOf('{{ order.number }}')).toBe('receipt');
    expect(kindOf('{{ offer.url }}')).toBe('offer');
    expect(kindOf('{{ subscriber.firstName }}')).toBe('sequence');
    expect(lineOfVariable('a\nb {{ offer.url }}\n', 'offer.url')).toBe(2);
  });
});
