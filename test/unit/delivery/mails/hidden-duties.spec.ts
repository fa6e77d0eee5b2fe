import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { alwaysShown } from '../../../../src/delivery/mails/hidden-duties.js';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';
import { compileWrittenMail } from '../../../../src/delivery/mails/written-mail.files.js';
import { TEMPLATES_DIR } from '../../../../src/infra/http/templates-dir.js';
import { kindOf } from '../../../db/delivery/mail-data.js';

const ADDRESS = '12 Mill Lane, Springfield';
const MARKETING = readdirSync(join(TEMPLATES_DIR, 'emails'))
  .map((file) => file.replace('.mjml', ''))
  .filter((name) => kindOf(name) === 'sequence');

/** Else each of its mails would be looked at, which takes as long as to make it. */
describe('a mail that needs no look at each of its readers’', () => {
  it.each(MARKETING)('is the one of the folder: %s', async (name) => {
    for (const subject of [null, 'News for {{ subscriber.firstName }} & {{ subscriber.fields.city }}']) {
      const { html } = await compileMail(TEMPLATES_DIR, `emails/${name}`, subject);
      expect(alwaysShown(html, ADDRESS)).toBe(true);
    }
  });

  it('is one that was written in the web app', async () => {
    const { html } = await compileWrittenMail(
      {
        key: 'written/news',
        subject: 'For {{ subscriber.firstName }}',
        preview: '{% if subscriber.fields.city %}From {{ subscriber.fields.city }}{% endif %}',
        body: `Hello {{ subscriber.firstName | default: "you" }},

{% if subscriber.fields.city == "Ely" %}[your page]({{ subscriber.fields.site }}){% else %}**Others** do without.{% endif %}`,
      },
      null,
    );
    expect(alwaysShown(html, ADDRESS)).toBe(true);
  });

  const OUT = `<a href="{{ unsubscribeUrl }}">out</a> {{ sender.postalAddress }}`;
  it.each([
    ['shows both as they are', OUT, true],
    ['has the address in its own words', `<a href="{{ unsubscribeUrl }}">out</a> ${ADDRESS}`, true],
    ['has a variable in an address and a label', `<a href="{{ x }}" title="{{ y }}">z</a>${OUT}`, true],
    ['has conditions beside them', `{% if x %}<p>y</p>{% else %}z{% endif %}${OUT}`, true],
    ['has a style of a variable', `<p style="color:{{ x }}">${OUT}</p>`, false],
    ['has an attribute in a condition', `<p {% if x %}hidden{% endif %}>${OUT}</p>`, false],
    ['has a variable in its style sheet', `<style>.a{color:{{ x }}}</style>${OUT}`, false],
    ['prints HTML of a variable', `{{ x | raw }}${OUT}`, false],
    ['shows them to some', `{% if x %}${OUT}{% endif %}`, false],
    ['opens what hides them in a condition', `{% if x %}<p style="display:none">{% endif %}${OUT}`, false],
    ['closes it in one', `<p style="display:none">{% if x %}</p>{% endif %}${OUT}`, false],
    ['hides them from all', `<p style="display:none">${OUT}</p>`, false],
    ['may hide them by a style sheet without an end', `<p>${OUT}</p><style>p{display:{{ x }}}`, false],
  ])('%s', (_, html, expected) => {
    expect(alwaysShown(html, ADDRESS)).toBe(expected);
  });
});
