import { describe, expect, it } from 'vitest';
import { fillIn, parseHtmlPart } from '../../../../src/delivery/mails/liquid.templates.js';
import { linkTemplates, markLinks, staticLinkIds } from '../../../../src/delivery/mails/mail-links.js';

const HTML = `<a href="https://example.com/?a=1&amp;b=2">one</a>
<a class='x' href='https://example.com/?q={{ name | url_encode }}'>two</a>
<a href="{{ offer.url }}">three</a><a href="https://example.com/?a=1&amp;b=2">again</a>
<a href="{{ unsubscribeUrl }}">out</a><a href="mailto:ada@example.com">mail</a><a href="#top">top</a>
<link href="https://example.com/style.css">`;
const IDS = new Map([
  ['https://example.com/?a=1&b=2', '1'],
  ['https://example.com/?q={{ name | url_encode }}', '2'],
  ['{{ offer.url }}', '3'],
]);

describe('the links of a mail', () => {
  it('are those that lead elsewhere by http, each once; the ways out stay as they are', () => {
    expect(linkTemplates(HTML)).toEqual([...IDS.keys()]);
  });

  it('are found again by their marks, whatever was filled in meanwhile', () => {
    const seen: [string, string][] = [];
    const values = {
      name: 'a b',
      offer: { url: 'https://example.com/offer?x=1&y="' },
      unsubscribeUrl: 'https://example.com/u',
    };
    const done = fillIn(parseHtmlPart(markLinks(HTML, IDS)), values, (id, url) => {
      seen.push([id, url]);
      return `https://example.org/${id}?a&b="`;
    });
    expect(seen).toEqual([
      ['1', 'https://example.com/?a=1&b=2'],
      ['2', 'https://example.com/?q=a+b'],
      ['3', 'https://example.com/offer?x=1&y="'],
      ['1', 'https://example.com/?a=1&b=2'],
    ]);
    expect(done.match(/href=["']https:\/\/example\.org\/[123]\?a&amp;b=&#34;["']/g)).toHaveLength(4);
    expect(done).not.toContain('ws-link');
    expect(done).toContain('href="https://example.com/u"');
  });

  it('are the same for everybody when they hold no variable', () => {
    expect(staticLinkIds(markLinks(HTML, IDS))).toEqual(new Set(['1']));
  });

  it('come back unchanged when the target is the address itself', () => {
    const html = '<a href="https://example.com/?a=1&amp;b=%26&amp;c=&#34;">x</a>';
    const ids = new Map(linkTemplates(html).map((url) => [url, '9']));
    expect(fillIn(parseHtmlPart(markLinks(html, ids)), {})).toBe(html);
  });
});
