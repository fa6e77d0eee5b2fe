import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lintFiles } from '../../../../src/funnels/lint/funnel-lint.files.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { API_KEY, START } from '../../../support/app.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';
import { empty } from '../../../support/database.js';

const STEP = '- { key: a, email: emails/story, delay: 1 day }';
const PLAIN = funnelText(STEP);

describe('files beside a funnel file, and texts in it', () => {
  let t: Course;
  let outer: string;
  let folder: string;
  beforeAll(async () => {
    t = await openCourse();
    await t.clear();
  });
  beforeEach(async () => {
    outer = await mkdtemp(join(tmpdir(), 'beside-'));
    folder = join(outer, 'funnels');
    await mkdir(join(folder, 'files'), { recursive: true });
    await writeFile(join(outer, 'secret.txt'), 'secret');
    await writeFile(join(folder, 'files', 'guide.txt'), 'guide');
  });
  afterEach(async () => {
    await t.clear();
    await t.db.query(`delete from stored_file where file_name = 'link.txt'`);
    await rm(outer, { recursive: true });
  });
  afterAll(async () => t?.test.close());

  const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
  const write = async (yaml: string): Promise<string> => {
    const path = join(folder, 'course.yaml');
    await writeFile(path, yaml);
    return path;
  };
  const delivering = (file: string): string =>
    PLAIN.replace('price: 49.00 EUR', `price: 49.00 EUR, delivers: [${file}]`);
  const rows = async (): Promise<unknown> =>
    t.db.query(
      `select (select count(*) from funnel) as funnels, (select count(*) from stored_file where file_name = 'link.txt') as files,
         (select count(*) from template_text where body = 'secret') as texts`,
    );
  const NOTHING = [{ funnels: '0', files: '0', texts: '0' }];

  it('are not reached by a link that leaves the folder: what it led to was sold, or exported', async () => {
    const link = join(folder, 'files', 'link.txt');
    const bringing = `${PLAIN}templates:\n  pages/own.liquid: { file: files/link.txt }\n`.replace(
      'slug: course,',
      'slug: course, template: pages/own,',
    );
    const wanted = [
      [
        delivering('files/link.txt'),
        'course.yaml:10: products.0.delivers.0: files/link.txt is a link that leads out',
      ],
      [
        PLAIN.replace('slug: course,', 'slug: course, leadMagnet: files/link.txt,'),
        'course.yaml:4: form.leadMagnet: files/link.txt is a link',
      ],
      [bringing, 'course.yaml:14: templates.pages/own.liquid.file: files/link.txt is a link'],
    ] as const;
    await symlink(join(outer, 'secret.txt'), link);
    for (const [yaml, message] of wanted) {
      const path = await write(yaml);
      await expect(funnels().applyFile(path)).rejects.toThrow(message);
      const [{ findings } = { findings: [] }] = await lintFiles([path], START);
      expect(findings.map((one) => one.message).join()).toContain('leads out of the folder');
    }
    expect(await rows()).toEqual(NOTHING);
    // A folder of links leads out as well; a link that stays is a file like others, also where the folder is one itself.
    await symlink(outer, join(folder, 'out'));
    await expect(funnels().applyFile(await write(delivering('out/secret.txt')))).rejects.toThrow('leads out');
    await rm(link);
    await symlink('guide.txt', link);
    await symlink(folder, join(outer, 'linked'));
    await write(delivering('files/link.txt'));
    expect((await funnels().applyFile(join(outer, 'linked', 'course.yaml'))).changes).not.toEqual([]);
    await expect(funnels().applyFile(await write(delivering('files')))).rejects.toThrow('is a folder');
  });

  it('are refused where the database would refuse them, with line and field: it was an error of the server', async () => {
    const put = async (yaml: string): Promise<{ status: number; body: { detail?: string } }> =>
      t.test.http.put('/api/v1/funnels/course').set('Authorization', `Bearer ${API_KEY}`).send({ yaml });
    for (const odd of ['"a\\0b"', '"a\\uD800b"']) {
      const { status, body } = await put(PLAIN.replace('Send it to me', odd));
      expect([status, body.detail]).toEqual([422, expect.stringContaining('yaml:4: form.consent: holds')]);
    }
    await writeFile(join(folder, 'files', 'own.liquid'), '<input name="email">{{ form.consent }}\0');
    const own = `${PLAIN}templates:\n  pages/own.liquid: { file: files/own.liquid }\n`.replace(
      'slug: course,',
      'slug: course, template: pages/own,',
    );
    await expect(funnels().applyFile(await write(own))).rejects.toThrow(
      'course.yaml:4: form.template: templates/pages/own.liquid holds the character U+0000',
    );
    expect(await rows()).toEqual(NOTHING);
  });

  it('are refused when an export of them could not be read again', async () => {
    await writeFile(join(folder, 'files', 'long.liquid'), 'x'.repeat(390_000));
    const parts = Array.from({ length: 6 }, (_, place) => `layouts/part${place}`);
    const page = `<input name='email'>{{ form.consent }}${parts.map((part) => `{% render '${part}' %}`).join('')}`;
    await writeFile(join(folder, 'files', 'own.liquid'), page.replace("'email'", '"email"'));
    const brought = parts.map((part) => `  ${part}.liquid: { file: files/long.liquid }\n`).join('');
    const yaml =
      PLAIN.replace('slug: course,', 'slug: course, template: pages/own,') +
      `templates:\n  pages/own.liquid: { file: files/own.liquid }\n${brought}`;
    await expect(funnels().applyFile(await write(yaml))).rejects.toThrow(
      /course\.yaml(:1)?: an export of this funnel with its mails and pages would have \d+ characters; 2000000 are the most/,
    );
    expect(await rows()).toEqual(NOTHING);
  });

  it.each([
    [
      'what << takes over',
      PLAIN.replace(/- (\{ key: course-kit, name.*\})/, '- &k $1\n  - { <<: *k, key: other }'),
    ],
    ['CRLF', PLAIN.replaceAll('\n', '\r\n')],
    [
      'numbers and words in quotes',
      PLAIN.replace('A course', '"1e3"').replace('Get it', '"yes"').replace('Send it to me', '"~"'),
    ],
    [
      'every kind of letter',
      PLAIN.replace('A course', 'K\u00fcrs \u65e5\u672c\u8a9e \u{1f389} e\u0301').replace(
        'Send it to me',
        '"a\\n\\n  b\\u2028c\\u0085d\\te"',
      ),
    ],
    [
      'five hundred steps of one mail',
      funnelText(
        Array.from({ length: 500 }, (_, place) => STEP.replace('key: a', `key: a${place}`)).join('\n'),
      ),
    ],
    [
      'forty branches in each other',
      funnelText(
        Array.from({ length: 40 }).reduce<string>(
          (inner, _, place) => `- { key: n${place}, if: { tag: x }, then: [${inner.replace(/^- /, '')}] }`,
          STEP,
        ),
      ),
    ],
    ['nothing to sell', PLAIN.replace(/products:[\s\S]*$/, 'products: []\noffers: []\n')],
  ])('come back byte by byte with %s', async (_, yaml) => {
    await funnels().applyFile(await write(yaml));
    expect((await funnels().planFile(await write(yaml))).words).toEqual([]);
    const exported = await funnels().export();
    await t.clear();
    await empty(t.db, 'funnel, sequence, offer, product, form, email_template, template_text');
    await funnels().applyFile(await write(exported));
    expect(await funnels().export()).toBe(exported);
  });
});
