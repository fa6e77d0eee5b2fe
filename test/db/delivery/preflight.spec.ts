import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileMail } from '../../../src/delivery/mjml.templates.js';
import { Drafts } from '../../../src/delivery/preflight/drafts.service.js';
import { PreflightService } from '../../../src/delivery/preflight/preflight.service.js';
import type { Resolve } from '../../../src/infra/safe-fetch.js';
import { dnsOf } from '../../support/zone.js';
import { openPostOffice, SENDER, type PostOffice } from './post-office.js';

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
    await t.subscriber('grace@example.org', { name: 'Grace' });
    await t.subscriber('nameless@example.org');
    await t.subscriber('blank@example.org', { name: '  ' });
    await t.subscriber('gone@example.org', { status: 'unsubscribed' });
  });
  afterAll(async () => {
    await t.close();
    await rm(folder, { recursive: true });
  });

  async function findings(source: string): Promise<string[]> {
    await writeFile(join(folder, 'emails/draft.mjml'), source);
    const compiled = await compileMail(folder, 'emails/draft');
    const wanted = {
      template: 'emails/draft',
      sender: SENDER,
      funnelTitle: '75 niches',
      kind: 'sequence' as const,
    };
    const report = await preflight.checkCompiled(compiled, wanted, { resolve });
    expect(report.ok).toBe(report.findings.every(({ level }) => level !== 'fail'));
    return report.findings.map(
      ({ level, check, line, message }) => `${level} ${check} ${line ?? '-'}: ${message}`,
    );
  }

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
      'an unknown variable in a branch that no sample takes',
      mail('<p>{% if subscriber.name == "nobody" %}{{ nothing.here }}{% endif %}</p>'),
      /^fail variables 5: it prints \{\{ nothing\.here/,
    ],
    [
      'a name that two of three readers lack',
      mail('<p>Hi {{ subscriber.firstName }}</p>'),
      /^warn audience 5: 2 of 3 active subscribers would see an empty place for \{\{ subscriber\.firstName/,
    ],
    ['a link that leads nowhere', mail('<p><a href="#">x</a></p>'), /^fail links -: a link leads nowhere/],
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
