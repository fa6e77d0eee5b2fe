import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';
import { Drafts } from '../../../../src/delivery/preflight/drafts.service.js';
import { PreflightService, type MailToCheck } from '../../../../src/delivery/preflight/preflight.service.js';
import type { Resolve } from '../../../../src/infra/safe-fetch.js';
import { seedTemplate } from '../../../support/mail-seed.js';
import { dnsOf } from '../../../support/zone.js';
import { openPostOffice, SENDER, type PostOffice } from '../post-office.js';

const FOOT = `<p>{{ sender.name }}, {{ sender.postalAddress }} <a href="{{ unsubscribeUrl }}">Unsubscribe</a></p>`;
const mail = (body: string, foot = FOOT, title = 'Hello'): string =>
  `<mjml>
  <mj-head><mj-title>${title}</mj-title></mj-head>
  <mj-body><mj-section><mj-column>
    <mj-text>
${body}
      <p>Enough words to make a letter that somebody would like to read.</p>${foot}
    </mj-text>
  </mj-column></mj-section></mj-body>
</mjml>
`;
/** No name exists, so that nothing is asked of the network. */
const resolve: Resolve = async () => {
  throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
};

describe('preflight', () => {
  let t: PostOffice;
  let preflight: PreflightService;
  let folder: string;
  beforeAll(async () => {
    t = await openPostOffice({ BASE_URL: 'http://127.0.0.1:9' });
    preflight = t.app.get(PreflightService, { strict: false });
    folder = await mkdtemp(join(tmpdir(), 'ws-preflight-'));
    await mkdir(join(folder, 'emails'));
    const grace = await t.subscriber('grace@example.org', { name: 'Grace' });
    await t.db.query(`update subscriber set fields = '{"city": "Springfield"}' where id = $1`, [grace]);
    await t.subscriber('nameless@example.org');
    await t.subscriber('blank@example.org', { name: '  ' });
    await t.subscriber('gone@example.org', { status: 'unsubscribed' });
  });
  afterAll(async () => {
    await t.close();
    await rm(folder, { recursive: true });
  });

  async function compiledDraft(source: string): Promise<Awaited<ReturnType<typeof compileMail>>> {
    await writeFile(join(folder, 'emails/draft.mjml'), source);
    return compileMail(folder, 'emails/draft');
  }

  async function findings(source: string, change: Partial<MailToCheck> = {}): Promise<string[]> {
    const compiled = await compiledDraft(source);
    const wanted = {
      template: 'emails/draft',
      sender: SENDER,
      // As in a broadcast to people of no funnel.
      funnelTitle: source.includes('funnel.title') ? '' : '75 niches',
      kind: 'sequence' as const,
      ...change,
    };
    const report = await preflight.checkCompiled(compiled, wanted, { resolve });
    expect(report.ok).toBe(report.findings.every(({ level }) => level !== 'fail'));
    return report.findings.map(
      ({ level, check, line, message }) => `${level} ${check} ${line ?? '-'}: ${message}`,
    );
  }

  it('warns of words that inherit letters of no height, which no reader saw', async () => {
    const raw = (html: string): string =>
      mail('<p>Hi</p>').replace('    <mj-text>', `    <mj-raw>${html}</mj-raw>\n    <mj-text>`);
    expect(await findings(raw('<tr><td>\n<b>Today</b> only</td></tr>'))).toEqual([
      'warn clients 5: readers cannot see "Today" (and 1 more): its letters are 0 pixels high, as around them; give them a font-size, or use <mj-text>',
    ]);
    expect(await findings(raw('<tr><td style="font-size: 14px">Today</td></tr>'))).toEqual([]);
    // Blanks that hold a place, and a first line for the list of mails.
    expect(
      await findings(
        raw('<tr><td>&nbsp;&zwnj;&#8203;<div style="display:none;font-size:0">First</div></td></tr>'),
      ),
    ).toEqual([]);
  });

  it('has nothing to say of a mail that is as it should be', async () => {
    expect(await findings(mail('<p>Hi {{ subscriber.firstName | default: "there" }}</p>'))).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    [
      'an unknown variable',
      mail('<p>{{ subscriber.shoeSize }}</p>'),
      /^fail variables 5: it prints \{\{ subscriber\.shoeSize/,
    ],
    [
      'a variable by the name of another system',
      mail('<p>{{ first_name }}</p>'),
      /^fail variables 5: it prints .* here it is \{\{ subscriber\.firstName \}\}$/,
    ],
    [
      'a tag of another system, which readers would see',
      mail('<p>Hi *|FNAME|*</p>'),
      /^fail variables 5: \*\|FNAME\|\* is a tag of another mail system/,
    ],
    [
      'such a tag in the subject',
      mail('<p>Hi</p>', FOOT, 'News for %recipient.name%'),
      /^fail variables 2: %recipient\.name% is a tag/,
    ],
    [
      'what may be such a tag or meant as it stands',
      mail('<p>Why {$name} is empty</p>'),
      /^warn variables 5: \{\$name\} looks like a tag of another mail system/,
    ],
    ['such a tag for a link, once', mail('<p><a href="*|ARCHIVE|*">x</a></p>'), /^fail \w+ \S+: \*\|ARCHIVE/],
    [
      'an unknown variable in a branch that no sample takes',
      mail('<p>{% if subscriber.name == "nobody" %}{{ nothing.here }}{% endif %}</p>'),
      /^fail variables 5: it prints \{\{ nothing\.here/,
    ],
    [
      'a name that two of three readers lack',
      mail('<p>Hi {{ subscriber.firstName }}</p>'),
      /^warn audience 5: 2 of 3 active subscribers would see an empty place for \{\{ subscriber\.firstName/,
    ],
    [
      'a field of their own that one of three has',
      mail('<p>Hi from {{ subscriber.fields.city }}</p>'),
      /^warn audience 5: 2 of 3 active subscribers would see an empty place for \{\{ subscriber\.fields\.city \}\} \(such as \d+, \d+\)/,
    ],
    [
      'a field that nobody has',
      mail('<p>{{ subscriber.fields.citty | upcase }}</p>'),
      /^fail audience 5: it prints \{\{ subscriber\.fields\.citty \}\}, a field that none of 3 active subscribers has/,
    ],
    [
      'no funnel to name',
      mail('<p>About {{ funnel.title }}</p>'),
      /^fail variables 5: it prints \{\{ funnel\.title \}\}, which is empty here for everybody/,
    ],
    ['a link that leads nowhere', mail('<p><a href="#">x</a></p>'), /^fail links 5: a link leads nowhere$/],
    [
      'several such links, in one line',
      mail('<p><a href="#">x</a></p>\n<p><a href="#">y</a> <a href="#">z</a></p>'),
      /^fail links 5: a link leads nowhere \(3 times\)$/,
    ],
    [
      'a web font, which is left out for the next one',
      mail('<p style="font-family:Lato, Arial">x</p>').replace(
        '<mj-head>',
        '<mj-head><mj-font name="Lato" href="https://type.example.com/lato.css?a=1&amp;b=2" />',
      ),
      /^warn clients 2: the web font Lato is not loaded: type\.example\.com would be told .* Readers see the next one/,
    ],
    [
      'a web font with none behind it',
      mail(
        "<style>@import url('https://fonts.example.com/css2?family=Open+Sans:wght@400;700&display=swap');</style><p style=\"font-family:'Open Sans'\">x</p>",
      ),
      /^warn clients 5: the web font Open Sans is not loaded: fonts\.example\.com .* write font-family="Open Sans, Arial, sans-serif";/,
    ],
    [
      'a style sheet from elsewhere',
      mail('<link rel="stylesheet" href="https://www.example.com/site.css"><p>x</p>'),
      /^fail clients 5: the style sheet https:\/\/www\.example\.com\/site\.css is not loaded: .* into <mj-style>$/,
    ],
    [
      'a dead name',
      mail('<p><a href="https://dead.example.com/">x</a></p>'),
      /^fail links -: .*name does not exist/,
    ],
    [
      'a link into the network of the server',
      mail('<p><a href="https://169.254.169.254/latest">x</a></p>'),
      /^fail links -: .*inner network/,
    ],
    [
      'a page of ours while we do not run',
      mail('<p><a href="{{ baseUrl }}/assets/x.html">x</a></p>'),
      /^unknown links -: .*is Wellspring running there/,
    ],
    [
      'no way out',
      mail('<p>x</p>', '<p>{{ sender.postalAddress }}</p>'),
      /^fail unsubscribe -: the mail has no link/,
    ],
    [
      'no postal address',
      mail('<p>x</p>', '<p><a href="{{ unsubscribeUrl }}">out</a></p>'),
      /^fail sender -: .*postal/,
    ],
    [
      'a mail that Gmail cuts',
      mail(`<p>${'long '.repeat(22_000)}</p>`),
      /^fail size -: the HTML has 1\d\d KB/,
    ],
    [
      'a layout that falls apart',
      mail('<div style="display:flex">x</div>'),
      /^warn clients 5: display: flex is left out/,
    ],
    ['a form', mail('<form action="https://a.test"></form>'), /^fail clients 5: <form>/],
  ])('finds %s', async (_, source, expected) => {
    expect((await findings(source)).filter((finding) => expected.test(finding))).toHaveLength(1);
  });

  it.each([
    ['stands in for it', '<p>{{ subscriber.fields.citty | default: "your town" }}</p>'],
    ['only tests for it', '<p>{% if subscriber.fields.citty == "Paris" %}Bonjour!{% endif %}</p>'],
    [
      'prints it only where it is',
      '<p>{% if subscriber.fields.citty %}{{ subscriber.fields.citty }}{% endif %}</p>',
    ],
  ])('has nothing against a field that nobody has when the mail %s', async (_, body) => {
    expect(await findings(mail(body))).toEqual([]);
  });

  it('counts over those who would get it, and over what the people of a funnel were given', async () => {
    const name = mail('<p>Hi {{ subscriber.firstName }}</p>');
    const named = { text: `s.status = 'active' and s.email like $1`, parameters: ['grace@%'] };
    const readers = { condition: named, words: 'readers', funnelKey: null };
    expect(await findings(name, { readers })).toEqual([]);

    const [{ id: sequence = '' } = {}]: { id?: string }[] = await t.db.query(
      `with q as (insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
         values ('kit', 'kit', 'Kit', $1, now(), now()) returning id)
       insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
       select id, 1, '{}', 'x', now() from q returning sequence_id as id`,
      [JSON.stringify(SENDER)],
    );
    await t.db.query(
      `insert into enrollment (sequence_id, version_id, subscriber_id, status, data, started_at)
       select $1, v.id, s.id, 'active', case when s.name = 'Grace' then '{"download": {"url": "https://x", "name": "x"}}' else '{}' end::jsonb, now()
       from subscriber s, sequence_version v where v.sequence_id = $1 and s.status = 'active'`,
      [sequence],
    );
    const enrolled = { readers: { ...readers, funnelKey: 'kit' } };
    const [{ id: lacking = '' } = {}]: { id?: string }[] = await t.db.query(
      `select min(subscriber_id)::text as id from enrollment where data = '{}'`,
    );
    expect(await findings(mail('<p>{{ download.name }}</p>'), enrolled)).toEqual([
      `warn audience 5: 2 of 3 people in the funnel would see an empty place for {{ download.name }} (such as ${lacking}, ${Number(lacking) + 1}); give it a default`,
    ]);
  });

  it('a field of their own stands in the mail that is sent', async () => {
    const compiled = await compiledDraft(mail('<p>Hello {{ subscriber.fields.city | default: "you" }}!</p>'));
    const templateId = await seedTemplate(t.db.manager, compiled);
    const [{ id: grace = '' } = {}]: { id?: string }[] = await t.db.query(
      `select id from subscriber where email = 'grace@example.org'`,
    );
    await t.plan('grace@example.org', { subscriberId: grace, templateId });
    await t.plan('new@example.org', { templateId });
    expect(await t.sendDue()).toBe(2);
    const greeting = (to: string): string | undefined =>
      /Hello [\w]+!/.exec(t.sink.mails.find((one) => one.to[0] === to)?.parsed.text ?? '')?.[0];
    expect(greeting('grace@example.org')).toBe('Hello Springfield!');
    expect(greeting('new@example.org')).toBe('Hello you!');
  });

  it('a field called size is empty for who has none: the mail told how many fields they had', async () => {
    const body =
      '<p>Shirts in {{ subscriber.fields.size | default: "yourSize" }}{% if subscriber.fields.size %}!{% endif %}</p>';
    const [grace = '', nameless = '']: string[] = (
      await t.db.query(
        `select id from subscriber where email in ('grace@example.org', 'nameless@example.org') order by id`,
      )
    ).map(({ id }: { id: string }) => id);
    await t.db.query(`update subscriber set fields = fields || '{"size": "XL"}' where id = $1`, [grace]);
    await t.db.query(`update subscriber set fields = '{"city": "Rome", "pets": 2}' where id = $1`, [
      nameless,
    ]);

    const both = { text: 's.id = any($1)', parameters: [[grace, nameless]] };
    const readers = { condition: both, words: 'readers', funnelKey: null };
    expect(await findings(mail('<p>Shirts in {{ subscriber.fields.size }}</p>'), { readers })).toEqual([
      `warn audience 5: 1 of 2 readers would see an empty place for {{ subscriber.fields.size }} (such as ${nameless}); give it a default`,
    ]);
    const templateId = await seedTemplate(t.db.manager, await compiledDraft(mail(body)));
    await t.plan('grace@example.org', { subscriberId: grace, templateId, dedupeKey: 'shirt:1' });
    await t.plan('nameless@example.org', { subscriberId: nameless, templateId, dedupeKey: 'shirt:2' });
    await t.sendDue();
    const shirts = (to: string): string | undefined =>
      /Shirts in \w+!?/.exec(t.sink.mails.findLast((one) => one.to[0] === to)?.parsed.text ?? '')?.[0];
    expect(shirts('grace@example.org')).toBe('Shirts in XL!');
    expect(shirts('nameless@example.org')).toBe('Shirts in yourSize');
  });

  it('names file and line of a template that cannot be compiled, and of one that is not there', async () => {
    const wanted = { sender: SENDER, funnelTitle: '' };
    const report = await preflight.check({ ...wanted, template: 'emails/nowhere' });
    expect(report).toMatchObject({ ok: false, kind: null, findings: [{ check: 'template', level: 'fail' }] });
    expect(report.findings[0]?.message).toContain('templates/emails/nowhere.mjml');
  });

  it.each(['welcome', 'story', 'nudge', 'deep-dive', 'offer', 'confirm', 'receipt'])(
    'has nothing against our own mail: %s',
    async (name) => {
      const wanted = { template: `emails/${name}`, sender: SENDER, funnelTitle: '75 niches' };
      const report = await preflight.check(wanted);
      expect(report.findings.filter(({ level }) => level !== 'unknown')).toEqual([]);
    },
  );

  it('passes on what the DNS says of the sender, where it is not good', async () => {
    const dns = dnsOf({ 'TXT example.com': ['v=spf1 -all'], 'MX example.com': ['10 mx.example.com'] });
    const said = (await preflight.checkSender('ada@example.com', dns)).map(
      ({ level, message }) => `${level} ${message}`,
    );
    expect(said.some((line) => line.startsWith('fail D3 DMARC: there is no valid record'))).toBe(true);
    expect(said.some((line) => line.includes('D1'))).toBe(false);
    expect(await preflight.checkSender('ada@example.com')).toEqual([]);
  });

  it('shows a mail as one subscriber would get it, with links that work for nobody', async () => {
    const drafts = t.app.get(Drafts, { strict: false });
    const id = await t.subscriber('ada@example.org', { name: '{{ 7 | times: 7 }} <b>' });
    const { subject, html, text } = await drafts.preview({ template: 'emails/welcome', subscriberId: id });
    expect(subject).toMatch(/^Here it is: /);
    expect(html).toContain('Welcome, {{');
    expect(html).not.toContain('49');
    expect(text).toContain('Welcome, {{');
    expect(html).not.toContain(`/c/`);
    const before = await t.db.query('select count(*)::int as n from email_template');
    await drafts.preview({ template: 'emails/receipt', subscriberId: id });
    expect(await t.db.query('select count(*)::int as n from email_template')).toEqual(before);
    await expect(
      drafts.preview({ template: 'emails/welcome', subscriberId: '999999' }),
    ).rejects.toMatchObject({
      code: 'SUBSCRIBER_NOT_FOUND',
    });
    await expect(
      drafts.preview({ template: 'emails/welcome', subscriberId: id, funnel: 'none' }),
    ).rejects.toMatchObject({ code: 'FUNNEL_NOT_FOUND' });
  });
});
