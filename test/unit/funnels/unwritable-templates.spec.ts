import { expect, it } from 'vitest';
import {
  collectTemplates,
  pagesOf,
  unwritableTemplates,
} from '../../../src/funnels/templates/funnel-templates.js';
import { readFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { funnelText } from '../../db/sequences/course.js';

it.each(['parts/fuß', 'parts/a+b', 'parts/a@2x', 'parts/a(1)', '-parts/a', '.parts/a'])(
  'a part that no export could name is refused at once, not when its export is applied: %s',
  async (part) => {
    const file = readFunnelFile(funnelText('- { key: a, email: emails/story }'));
    if (!file.ok) throw new Error('it is no funnel file');
    const pages = new Map([
      ['pages/squeeze.liquid', `{% render '${part}' %}`],
      [`${part}.liquid`, 'x'],
    ]);
    const templates = await collectTemplates(file.definition, async (path) =>
      Promise.resolve(pages.get(path) ?? null),
    );
    expect(unwritableTemplates(pagesOf(file.definition), templates)).toMatchObject([
      {
        path: ['form', 'template'],
        message: expect.stringContaining(`templates/${part}.liquid cannot be named`),
      },
    ]);
  },
);
