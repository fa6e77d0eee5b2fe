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
