import { describe, expect, it } from 'vitest';
import { mjmlOfWritten, placeInWritten } from '../../../../src/delivery/mails/written-mail.js';

const MAIL = {
  subject: 'S {{ a }}',
  preview: 'P {{ b }}',
  body: '\n\nHi {{ c }},\nsecond {{ d }}\n\n  \n# Head {{ e }}\n\n\n- one {{ f }}\n- two\n\n[Go](https://x.test/{{ g }})\n',
};
const lineOf = (text: string, wanted: string): number =>
  text.split('\n').findIndex((line) => line.includes(wanted)) + 1;

describe('a place in the MJML of a written mail', () => {
  it.each([
    ['{{ a }}', { field: 'subject', line: null }],
    ['{{ b }}', { field: 'preview', line: null }],
    ['{{ c }}', { field: 'body', line: 3 }],
    // A paragraph is one line there: the first of its lines is named.
    ['{{ d }}', { field: 'body', line: 3 }],
    ['{{ e }}', { field: 'body', line: 7 }],
    ['{{ f }}', { field: 'body', line: 10 }],
    ['{{ g }}', { field: 'body', line: 13 }],
    ['mail-foot', null],
    ['<mjml', null],
  ])('%s is found in what its owner wrote', (wanted, place) => {
    expect(placeInWritten(MAIL, lineOf(mjmlOfWritten(MAIL), wanted))).toEqual(place);
  });

  it('counts the lines of a preview of several', () => {
    const mail = { ...MAIL, preview: 'one\ntwo {{ b }}' };
    expect(placeInWritten(mail, lineOf(mjmlOfWritten(mail), '{{ b }}'))).toEqual({
      field: 'preview',
      line: null,
    });
    expect(placeInWritten(mail, lineOf(mjmlOfWritten(mail), '{{ e }}'))).toEqual({ field: 'body', line: 7 });
  });
});

describe('an address in a written mail', () => {
  const body = (text: string): string => mjmlOfWritten({ subject: 'S', preview: '', body: text });
  const linkTo = (url: string): string => `<a href="${url}">${url}</a>`;

  it.each([
    [
      'is a link as it stands, and not words alone',
      'see https://example.com/a?b=1_c*d*e today',
      'see ',
      'https://example.com/a?b=1_c*d*e',
      ' today',
    ],
    [
      'ends before what ends its sentence',
      '(at https://example.com/a.)',
      '(at ',
      'https://example.com/a',
      '.)',
    ],
    [
      'holds variables',
      'https://example.com/{{ subscriber.id }}.',
      '',
      'https://example.com/{{ subscriber.id }}',
      '.',
    ],
    ['may be nothing but a domain', 'https://example.com', '', 'https://example.com', ''],
  ])('%s', (_, text, before, url, after) => {
    expect(body(text)).toContain(`<p>${before}${linkTo(url)}${after}</p>`);
  });

  it('with an ampersand is one address', () => {
    expect(body('https://example.com/?a=1&b=2')).toContain(linkTo('https://example.com/?a=1&amp;b=2'));
  });

  it('may be the words of a link, and two may stand in a line', () => {
    const html = body('[https://example.com](https://example.org) and https://example.net, **now**');
    expect(html).toContain('<a href="https://example.org">https://example.com</a> and ');
    expect(html).toContain(`${linkTo('https://example.net')}, <strong>now</strong>`);
  });

  it.each(['https://', 'https://...', 'http', 'nothttp://'])('%s is none', (text) => {
    expect(body(text)).not.toContain('href');
  });
});
