import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inTemplateFolder, templatesReader } from '../../../src/funnels/templates/funnel-templates.files.js';

describe('texts of mails and pages', () => {
  it('are not written outside of the folder that is made for them, whatever their path', async () => {
    const outside = join(tmpdir(), 'wellspring-outside.liquid');
    const work = inTemplateFolder({ '../wellspring-outside.liquid': 'x' }, async (folder) =>
      Promise.resolve(folder),
    );
    await expect(work).rejects.toThrow('outside');
    expect(existsSync(outside)).toBe(false);
  });

  it('are not read from outside of the folder templates', async () => {
    await expect(templatesReader({})('../package.json')).rejects.toThrow('outside');
    expect(await templatesReader({})('pages/squeeze.liquid')).toContain('form');
  });
});
