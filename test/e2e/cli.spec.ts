import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../src/commands/wellspring.command.js';
import { build, finished, ROOT, type Finished } from '../support/build.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { RETURNED_MAILS } from '../support/returned-mails.js';

/** A step's mail as a split test of two subjects. */
const split = (subject: string): string =>
  `email: emails/story\n      split: { judge: clicks, arms: [{ key: a }, { key: b, subject: "${subject}" }] }`;

describe('wellspring, the command', () => {
  let database: TestDatabase;
  let folder: string;
  let built: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'wellspring-cli-'));
    await cp(join(ROOT, 'config/funnels'), folder, { recursive: true });
    built = join(ROOT, 'dist/src/cli.js');
    await build();
  }, 300_000);
  afterAll(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  it('plans in words, applies, and finds nothing to do the second time', async () => {
    const file = join(folder, 'niche-ebook.yaml');
    const plan = await wellspring('plan', file);
    expect(plan).toMatchObject({ code: 0 });
    expect(plan.out).toContain('+ product launch-kit');
    expect((await wellspring('apply', file)).out).toBe(plan.out);
    expect(await wellspring('apply', file)).toMatchObject({ code: 0, out: 'No changes.\n' });
    expect(await wellspring('plan', file)).toMatchObject({ code: 0, out: 'No changes.\n' });
  });

  it('shows what a change of price would do, and changes nothing', async () => {
    const file = join(folder, 'niche-ebook.yaml');
    const text = await readFile(file, 'utf8');
    const dearer = join(folder, 'dearer.yaml');
    await writeFile(dearer, text.replace('price: 49.00 EUR', 'price: 59.00 EUR'));
    expect((await wellspring('plan', dearer)).out).toBe(
      '~ product launch-kit: price 49.00 EUR → 59.00 EUR\n',
    );
    expect((await wellspring('plan', file)).out).toBe('No changes.\n');
  });

  it('exports what was applied, so that applying the export changes nothing', async () => {
    const exported = await wellspring('export', 'niche-ebook');
    const file = join(folder, 'exported.yaml');
    await writeFile(file, exported.out);
    expect(await wellspring('apply', file)).toMatchObject({ code: 0, out: 'No changes.\n' });
    const to = join(folder, 'exported');
    const whole = join(to, 'niche-ebook', 'funnel.yaml');
    expect(await wellspring('export', '--to', to)).toMatchObject({ code: 0, out: `${whole}\n` });
    expect(await readFile(whole, 'utf8')).toBe(exported.out);
    expect(await readFile(join(to, 'niche-ebook', 'files', '75-niches.pdf'))).toEqual(
      await readFile(join(folder, 'files', '75-niches.pdf')),
    );
    expect(await wellspring('apply', whole)).toMatchObject({ code: 0, out: 'No changes.\n' });
  });

  it.each([
    [
      'an unknown mail',
      (text: string) => text.replace('emails/story', 'emails/nowhere'),
      /broken\.yaml:\d+: sequence\.steps\.1\.email: there is no templates\/emails\/nowhere\.mjml/,
    ],
    [
      'a missing file',
      (text: string) => text.replace('75-niches.pdf', '76-niches.pdf'),
      /broken\.yaml:\d+: form\.leadMagnet: there is no file/,
    ],
    [
      'an offer without a price',
      (text: string) => text.replace('    price: 49.00 EUR\n', ''),
      /broken\.yaml:\d+: products\.0\.price: is missing/,
    ],
    [
      'a mail that prints what it does not have',
      (text: string) => text.replace('email: emails/story', 'email: emails/receipt'),
      /templates\/emails\/receipt\.mjml:\d+ prints \{\{ order/,
    ],
    ['broken YAML', (text: string) => `${text}\n  - [`, /broken\.yaml:\d+: /],
    [
      'a folder in place of a file',
      (text: string) => text.replace('files/75-niches.pdf', 'files'),
      /broken\.yaml:\d+: form\.leadMagnet: files is a folder/,
    ],
    [
      'a page nobody can sign up on',
      (text: string) => text.replace('pages/squeeze', 'pages/thanks'),
      /broken\.yaml:\d+: form\.template: templates\/pages\/thanks\.liquid is no page to sign up on/,
    ],
  ])('refuses %s with file, line and reason', async (_, damage, message) => {
    const file = join(folder, 'broken.yaml');
    await writeFile(file, damage(await readFile(join(folder, 'niche-ebook.yaml'), 'utf8')));
    const refused = await wellspring('apply', file);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.error).toMatch(message);
  });

  it('refuses a file that is not UTF-8, which would lose its letters', async () => {
    const file = join(folder, 'latin.yaml');
    const text = await readFile(join(folder, 'niche-ebook.yaml'), 'utf8');
    await writeFile(file, Buffer.from(text.replace('Ada Winters', 'Ad\u00e4'), 'latin1'));
    expect(await wellspring('apply', file)).toMatchObject({
      code: 1,
      error: expect.stringContaining('UTF-8'),
    });
  });

  it('has changed nothing by all it refused, and plans no more than it applies', async () => {
    const refused = await wellspring('plan', join(folder, 'broken.yaml'));
    expect(refused).toMatchObject({ code: 1, out: '', error: expect.stringMatching(/broken\.yaml:\d+: /) });
    expect((await wellspring('plan', join(folder, 'niche-ebook.yaml'))).out).toBe('No changes.\n');
  });

  it('applies the plan that it showed, or nothing, and goes back', async () => {
    const file = join(folder, 'niche-ebook.yaml');
    const text = await readFile(file, 'utf8');
    const titled = join(folder, 'titled.yaml');
    await writeFile(titled, text.replace('title: 75 niches', 'title: 80 niches'));
    const planned = await wellspring('plan', titled, '--json');
    await writeFile(join(folder, 'plan.json'), planned.out);
    const { token } = JSON.parse(planned.out) as { token: string };
    expect(planned.error).toBe(`To apply this or nothing: wellspring apply ${titled} --plan ${token}\n`);
    const other = await wellspring('apply', file, '--plan', join(folder, 'plan.json'));
    expect(other).toMatchObject({ code: 1, out: '', error: expect.stringContaining('is not the one') });
    expect((await wellspring('apply', titled, '--plan', 'plan.txt')).code).toBe(2);
    const done = await wellspring('apply', titled, '--plan', join(folder, 'plan.json'));
    expect(done).toMatchObject({ code: 0, out: expect.stringMatching(/^~ funnel niche-ebook: title 75/) });
    const again = await wellspring('apply', titled, '--plan', token);
    expect(again).toMatchObject({ code: 1, error: expect.stringContaining('was changed since') });
    const along = await wellspring('plan', file, '--move-people', 'catch-up', '--within', '7 days');
    expect(along.error).toContain(' --move-people catch-up --within "7 days" --plan plan-');
    const dry = await wellspring('rollback', 'niche-ebook', '--dry-run');
    expect(dry.out).toMatch(/title 80 .* → 75/);
    const back = ['rollback', 'niche-ebook', '--to', '1', '--plan'];
    const [, shown = ''] = /^To do this or nothing: wellspring (.*)\n$/.exec(dry.error) ?? [];
    expect(shown.split(' ').slice(0, -1)).toEqual(back);
    expect(await wellspring(...back, token)).toMatchObject({ code: 1, out: '' });
    expect(await wellspring(...shown.split(' '))).toMatchObject({ code: 0, out: dry.out });
    expect((await wellspring('plan', file)).out).toBe('No changes.\n');
    const { out } = await wellspring('history', 'niche-ebook');
    expect(out.match(/^version \d.*/gm)).toEqual([
      expect.stringMatching(/^version 3, \S+Z by command, brought back version 1$/),
      expect.stringMatching(/^version 2, \S+Z by command$/),
      expect.stringMatching(/^version 1, \S+Z by command$/),
    ]);
    expect((await wellspring('rollback', 'niche-ebook', '--to', 'first')).code).toBe(2);
  });

  it.each([
    [['--within', '7 days'], 'belong to --move-people'],
    [['--move-people', 'catch-up'], '--within belongs to catch-up'],
    [['--move-people', 'catch-up', '--within', 'soon'], 'is not a duration'],
    [['--move-people', 're-map', '--map', 'story'], 'step=step'],
    [['--move-people', 'sideways'], 'forward-only, catch-up, re-map'],
  ])('knows what may become of people: not %j', async (flags, message) => {
    const refused = await wellspring('plan', join(folder, 'niche-ebook.yaml'), ...flags);
    expect(refused).toMatchObject({ code: 2, out: '', error: expect.stringContaining(message) });
  });

  it('looks files through without a database', async () => {
    const good = join(folder, 'niche-ebook.yaml');
    expect(await wellspring('lint', good)).toEqual({ code: 0, out: 'Nothing found.\n', error: '' });
    const bad = join(folder, 'bad.yaml');
    const text = await readFile(good, 'utf8');
    await writeFile(
      bad,
      text
        .replace('funnel: niche-ebook', 'funnel: bad')
        .replace('emails/story', 'emails/receipt')
        .replace('files/75-niches.pdf', 'files/none.pdf')
        .replace('      deadline: 72 hours', '      expires: 2020-01-01'),
    );
    const found = await wellspring('lint', bad, good, '--json');
    expect(found.code).toBe(1);
    const { findings } = JSON.parse(found.out) as {
      findings: { file: string; rule: string; line: number }[];
    };
    const rules = findings.filter(({ file }) => file === bad).map(({ rule, line }) => `${line} ${rule}`);
    expect(new Set(rules)).toEqual(
      new Set([
        ...['11 name-taken', '24 unknown-file', '36 hidden-duty', '36 unknown-variable', '49 date-passed'],
        ...['54 name-taken', '62 name-taken', '69 name-taken'],
      ]),
    );
    await writeFile(bad, text.replace('      deadline: 72 hours', '      expires: 2020-01-01'));
    const warned = await wellspring('lint', bad);
    expect(warned).toMatchObject({ code: 0, out: expect.stringContaining('[warning date-passed]') });
    expect((await wellspring('lint', bad, '--strict')).code).toBe(1);
    expect((await wellspring('plan', bad)).error).toContain('warning: ');
    const schema = JSON.parse((await wellspring('schema')).out) as Record<string, unknown>;
    expect(schema).toMatchObject({
      $schema: 'http://json-schema.org/draft-07/schema#',
      required: expect.any(Array),
    });
  });

  it.each<[string, (text: string) => string]>([
    ['unknown-template', (text) => text.replace('emails/story', 'emails/nowhere')],
    ['page-without-form', (text) => text.replace('pages/squeeze', 'pages/thanks')],
    ['unknown-file', (text) => text.replace('files/launch-kit.zip', 'files/none.zip')],
    ['unknown-variable', (text) => text.replace('email: emails/story', 'email: emails/offer')],
    ['unknown-variable', (text) => text.replace('email: emails/story', split('Hello {{ order.number }}'))],
    ['broken-template', (text) => text.replace('email: emails/story', split('Hello {{ subscriber'))],
    ['split-test', (text) => text.replace('email: emails/story', split('x').replace(', subject: "x"', ''))],
    [
      'unknown-sequence',
      (text) => text.replace('  exitOn:', '    - { key: on, move: niche-ebook }\n  exitOn:'),
    ],
    [
      'sequence-elsewhere',
      (text) => text.replace('  exitOn:', '    - { key: on, move: clients }\n  exitOn:'),
    ],
  ])('finds %s in a file with its templates and files', async (rule, damage) => {
    const bad = join(folder, 'bad.yaml');
    const text = await readFile(join(folder, 'niche-ebook.yaml'), 'utf8');
    await writeFile(bad, damage(text));
    const { findings } = JSON.parse((await wellspring('lint', bad, '--json')).out) as {
      findings: { rule: string; line: number }[];
    };
    expect(new Set(findings.map((one) => one.rule))).toEqual(new Set([rule]));
    expect(findings.every(({ line }) => line > 1)).toBe(true);
  });

  it('makes an API key that opens the API, and says what is wrong with a call', async () => {
    expect((await wellspring('api-key', 'create', 'test')).out).toMatch(/^ws_[a-z2-7]{8}_[\w-]{43}\n/);
    expect((await wellspring('teleport')).code).toBe(2);
    expect((await wellspring('migrate')).out).toBe('The database is up to date.\n');
    expect((await wellspring('doctor')).out).toMatch(/ok   database: PostgreSQL \d/);
  });

  it('had no way to see or end an API key', async () => {
    const { key, id } = JSON.parse((await wellspring('api-key', 'create', 'shop', '--json')).out) as {
      key: string;
      id: string;
    };
    const begins = key.slice(0, 11);
    const line = new RegExp(`^${id}  ${begins}…  shop: made 2\\S+Z, never used$`, 'm');
    expect((await wellspring('api-key', 'list')).out).toMatch(line);
    expect(await wellspring('api-key', 'revoke', begins)).toMatchObject({
      code: 0,
      out: 'The key "shop" opens nothing any more.\n',
    });
    expect((await wellspring('api-key', 'list')).out).toMatch(/shop: .*, revoked 2\S+Z$/m);
    const unknown = await wellspring('api-key', 'revoke', `ws_aaaaaaaa_${'s'.repeat(43)}`);
    expect(unknown.code).toBe(1);
    expect(unknown.error).not.toContain('sss');
    expect((await wellspring('api-key', 'revoke', 'shop')).code).toBe(1);
  });

  it('checks the mails of a funnel, or one of them, before they are sent', async () => {
    await wellspring('apply', join(folder, 'niche-ebook.yaml'));
    const funnel = await wellspring('preflight', 'niche-ebook', '--json');
    expect(funnel.code).toBe(0);
    expect(JSON.parse(funnel.out)).toMatchObject({ funnel: 'niche-ebook', ok: true });
    expect(await wellspring('preflight', 'emails/welcome')).toMatchObject({
      code: 0,
      out: 'ok   templates/emails/welcome.mjml\n',
    });
    const missing = await wellspring('preflight', 'emails/nowhere');
    expect(missing.code).toBe(1);
    expect(missing.out).toBe('FAIL there is no templates/emails/nowhere.mjml\n');
    expect((await wellspring('preflight', 'no-such-funnel')).code).toBe(1);
    expect((await wellspring('preflight')).code).toBe(2);
  });

  it('makes a DKIM key once, and the doctor names one that is broken', async () => {
    const made = await wellspring('dkim', 'create', 'example.com', '--selector', 's1');
    expect(made.code).toBe(0);
    expect(made.out).toMatch(
      / s1\._domainkey\.example\.com\. IN TXT \( "v=DKIM1; k=rsa; p=[^"]+" "[^"]+" \)/,
    );
    expect((await wellspring('dkim', 'create', 'example.com', '--selector', 's1')).code).toBe(1);
    const path = join(folder, 'data/dkim/example.com/s1.pem');
    expect(await readFile(path, 'utf8')).toContain('PRIVATE KEY');
    await writeFile(path, 'broken');
    const refused = await wellspring('doctor');
    expect(refused.code).toBe(1);
    expect(refused.out).toMatch(
      /FAIL signing keys: mail from example\.com waits: .*s1\.pem: this is no private key/,
    );
    await rm(path);
  });

  it('shows how mails that came back are judged, from files and from standard input', async () => {
    const files: string[] = [];
    for (const [at, { mail }] of RETURNED_MAILS.entries()) {
      files.push(join(folder, `${at}.eml`));
      await writeFile(files[at] ?? '', mail);
    }
    const { code, out } = await wellspring('inspect', 'bounce', ...files, '--json');
    expect(code).toBe(0);
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(
      RETURNED_MAILS.map(({ verdict, reason, recipients }, at) => ({
        input: files[at],
        verdict,
        reason,
        recipients,
      })),
    );
    const piped = await finished(
      'sh',
      ['-c', `"${process.execPath}" "${built}" inspect bounce < "${files[0]}"`],
      environment(),
    );
    expect(piped.out).toBe('hard\tstandard input\tuser_unknown\tbob@example.org\n');
    expect((await wellspring('inspect', 'bounce', join(folder, 'nowhere.eml'))).code).toBe(2);
    expect((await wellspring('inspect', 'weather')).code).toBe(2);
  });

  it('says that a copied database does not send, until it is confirmed', async () => {
    expect(await wellspring('ledger', 'status')).toMatchObject({ code: 0, out: 'Mails may go out.\n' });
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const row = { lineage: 'a', generation: 1, counter: 1, refused: null, confirmed: null };
    await client.query(
      `insert into setting (key, value, updated_at) values ('ledger.generation', $1, now())`,
      [JSON.stringify({ ...row, fingerprint: { system: null, timeline: null, database: '1', table: '1' } })],
    );
    await client.end();
    const refused = await wellspring('ledger', 'status');
    expect(refused).toMatchObject({ code: 1, out: expect.stringContaining('copy') });
    expect((await wellspring('ledger', 'confirm', '--unsent', 'all')).code).toBe(2);
    const confirmed = await wellspring('ledger', 'confirm', '--unsent', 'hold', '--json');
    expect(JSON.parse(confirmed.out)).toEqual({ needed: true, held: 0, cancelled: 0, unknown: 0 });
    expect((await wellspring('ledger', 'confirm')).out).toContain('nothing to confirm');
    expect((await wellspring('ledger', 'status')).code).toBe(0);
  });

  it('ends as a process with the same words and codes', async () => {
    const asProcess = async (...args: string[]) =>
      finished(process.execPath, [built, ...args], environment());
    expect(await asProcess('teleport')).toMatchObject({ code: 2, out: '' });
    const args = ['export', 'niche-ebook'];
    expect(await asProcess(...args)).toEqual(await wellspring(...args));
    const refused = await asProcess('apply', join(folder, 'broken.yaml'));
    expect(refused).toMatchObject({ code: 1, out: '', error: expect.stringMatching(/broken\.yaml:\d+: /) });
  });

  /** In this process: to start one for each command would take minutes. */
  it('sends a mail to its owner as a test', async () => {
    await wellspring('apply', join(folder, 'niche-ebook.yaml'));
    const client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at)
       values ('grace@example.com', 'grace@example.com', 'pending', now(), now())`,
    );
    await client.end();
    const as = ['--as', 'grace@example.com', '--to', 'own@example.com'];
    const sent = await wellspring('test-mail', 'emails/story', ...as);
    expect(sent).toMatchObject({ code: 0 });
    expect(sent.out).toMatch(/^“\[Test\] .+” goes to own@example\.com: mail \d+\.\n$/);
    expect((await wellspring('test-mail', 'emails/story', '--to', 'own@example.com')).code).toBe(0);
    expect((await wellspring('test-mail', 'broadcast:99', '--to', 'own@example.com')).code).toBe(1);
    expect((await wellspring('test-mail', 'emails/story', ...as, '--to', 'nobody')).code).toBe(1);
  });

  async function wellspring(...args: string[]): Promise<Finished> {
    const said = { out: '', error: '' };
    const code = await runCommand(args, {
      env: environment(),
      out: (text) => (said.out += text),
      error: (text) => (said.error += text),
    });
    return { code, ...said };
  }

  function environment(): NodeJS.ProcessEnv {
    const { BASE_URL: _, ...inherited } = process.env;
    return { ...inherited, DATABASE_URL: database.url, DATA_DIR: join(folder, 'data') };
  }
}, 120_000);
