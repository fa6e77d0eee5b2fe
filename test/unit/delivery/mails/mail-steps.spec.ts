import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Liquid } from 'liquidjs';
import { describe, expect, it } from 'vitest';
import {
  emit,
  fillIn,
  parseHtmlPart,
  parseTextPart,
} from '../../../../src/delivery/mails/liquid.templates.js';
import { EncodedEmitter } from '../../../../src/delivery/mails/mail-emitter.js';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';
import { TEMPLATES_DIR } from '../../../../src/infra/http/templates-dir.js';

const OURS = readdirSync(join(TEMPLATES_DIR, 'emails')).map((file) => `emails/${file.replace('.mjml', '')}`);

const PATHS = [
  'name',
  'city.name',
  'list',
  'list.size',
  'list.first',
  'none',
  'none.at.all',
  'toString',
  'city.__proto__',
  'n',
  'no',
];
const FILTERS = [
  '',
  " | default: 'friend & co'",
  ' | default: name',
  ' | escape',
  ' | raw',
  ' | upcase',
  ' | url_encode',
  ' | url_encode | raw',
  " | default: '' | raw",
];
const outputs = fc
  .tuple(fc.constantFrom(...PATHS), fc.constantFrom(...FILTERS))
  .map(([path, filter]) => `{{ ${path}${filter} }}`);
const pieces = fc.oneof(
  fc.constantFrom('Hello ', '<b>\n', '.\r\n', 'ü=\t', ' '),
  outputs,
  fc.constantFrom(
    '{% if name %}yes {{ name }}{% else %}no{% endif %}',
    '{% for one in list %}{{ one }}{{ forloop.index }}{% endfor %}',
    '{% for one in list %}{{ one.name }}{% unless forloop.last %}, {% endunless %}{% else %}nobody{% endfor %}',
    '{% for a in list %}{% for b in city %}{{ a }}{{ b }}{{ name }}{{ forloop.rindex }}{% endfor %}{% endfor %}',
    '{% for one in list limit: 1 %}{{ one }}{% endfor %}{% for name in none %}{{ name }}{% else %}-{% endfor %}',
    '{% if n == 0 %}zero{% elsif n > 1 %}more{% elsif name != "a" %}not a{% else %}{{ n }}{% endif %}',
    '{% unless name == "" %}{{ name | upcase }}{% elsif n <= 0 %}less{% else %}empty{% endunless %}',
    '{% for one in list %}{% if one == empty %}e{% endif %}{{ forloop.length }}{% endfor %}',
    '{% if name and no %}both{% endif %}{% case n %}{% when 0 %}0{% else %}other{% endcase %}',
    '{% comment %}x{% endcomment %}',
    '{% assign name = "set" %}',
    '{% capture no %}caught{% endcapture %}',
    '{% unless no %}{% increment n %}{% endunless %}',
  ),
);
const values = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '<', '&', '"', "'", '.', '\n', 'ü', '😀', ' ') }),
  fc.constantFrom(null, false, true, 0, 1.5, '', ' ', [], {}),
);
const scopes = fc.record({
  name: values,
  city: fc.oneof(values, fc.record({ name: values })),
  list: fc.oneof(values, fc.array(values, { maxLength: 3 })),
  n: values,
  no: values,
});

describe('a mail put together from its steps', () => {
  it.each([
    ['html', parseHtmlPart, new Liquid({ outputEscape: 'escape', ownPropertyOnly: true })],
    ['text', parseTextPart, new Liquid({ ownPropertyOnly: true })],
  ] as const)('says what Liquid alone would say, as %s', (_, parse, liquid) => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), scopes, (parts, scope) => {
        const template = parts.join('');
        expect(fillIn(parse(template), scope)).toBe(liquid.parseAndRenderSync(template, scope));
      }),
      { numRuns: 500 },
    );
  });

  it('ends loops in loops in loops', () => {
    const list = Array.from({ length: 500 }, (_, index) => index);
    const part = parseTextPart(
      '{% for a in list %}{% for b in list %}{% for c in list %}x{% endfor %}{% endfor %}{% endfor %}',
    );
    expect(() => fillIn(part, { list })).toThrow("the template's loops go on for more than 100000 turns");
  });

  it('says the same on the wire', () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), scopes, (parts, scope) => {
        const part = parseHtmlPart(parts.join(''));
        const sent = emit(part, { own: scope, outer: null }, new EncodedEmitter(part.fixed)).toString(
          'latin1',
        );
        const bytes = sent
          .replaceAll('=\r\n', '')
          .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
        const read = fillIn(part, scope);
        expect(Buffer.from(bytes, 'latin1').toString('utf8')).toBe(read.replace(/\r\n|\n|\r/g, '\r\n'));
      }),
      { numRuns: 300 },
    );
  });
});

it.each(OURS)(
  '%s is put together from steps: a variable set in the foot sent all of it through Liquid',
  async (key) => {
    const { html, text } = await compileMail(TEMPLATES_DIR, key, 'Subject');
    expect(parseHtmlPart(html).steps).not.toBeNull();
    expect(parseTextPart(text).steps).not.toBeNull();
  },
);
