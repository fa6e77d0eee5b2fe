import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isHandTool } from '../../../src/tracking/user-agent.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { corpusFolder } from '../../support/corpora.js';
import { settle } from './trail.js';

const READER = 'rita@example.com';
const PLAIN_CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36';
const corpus = corpusFolder('user-agents');
/** Every fiftieth of the corpus; `curl` and the like stand for the reader beside the built-in mailbox. */
const MACHINES: readonly string[] = [
  'Mozilla/5.0 (compatible; MadeUpScanner/1.0)',
  'Mozilla/5.0',
  ...(corpus === null
    ? []
    : (JSON.parse(readFileSync(`${corpus}machines.json`, 'utf8')) as { userAgent: string }[])
        .map(({ userAgent }) => userAgent)
        .filter((userAgent, index) => index % 50 === 0 && !isHandTool(userAgent))),
];
/** All that tells what became of somebody; hits, visits and counters of requests are no such thing. */
const STATE = [
  ...[
    'subscriber',
    'consent_event',
    'suppression',
    'signup',
    'subscriber_tag',
    'topic_opt_out',
    'enrollment',
  ],
  ...['enrollment_step', 'enrollment_offer', 'message', 'conversion', 'orders'],
];

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

async function state(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const table of STATE) {
    const [row]: { hash: string }[] = await t.dataSource.query(
      `select coalesce(md5(string_agg(x::text, '|' order by x::text)), '') as hash from ${table} x`,
    );
    found[table] = row?.hash ?? '';
  }
  return found;
}

/** Paths of everything in the mail that leads to us, one-click header included. */
async function linksOfLastMail(): Promise<string[]> {
  const mail = (await t.mailsTo(READER)).at(-1);
  const inHtml = [...(mail?.html ?? '').matchAll(/(?:href|src)="(https?:[^"]+)"/g)].map(
    ([, url]) => url ?? '',
  );
  const inHeaders = (mail?.headers ?? [])
    .filter(({ name }) => name.toLowerCase() === 'list-unsubscribe')
    .flatMap(({ value }) => [...value.matchAll(/<(https?:[^>]+)>/g)].map(([, url]) => url ?? ''));
  const urls = [...inHtml, ...inHeaders].map((url) => new URL(url.replaceAll('&amp;', '&')));
  return [
    ...new Set(urls.filter(({ host }) => host === 'localhost:3000').map((url) => url.pathname + url.search)),
  ];
}

/** GET and HEAD of every link, by each of these user agents and as a browser that fetches ahead. */
async function replay(links: readonly string[], userAgents: readonly string[]): Promise<void> {
  for (const userAgent of userAgents)
    for (const link of links) {
      await t.http.get(link).set('user-agent', userAgent);
      await t.http.head(link).set('user-agent', userAgent);
    }
  for (const link of links)
    for (const header of ['purpose', 'sec-purpose'])
      await t.http.get(link).set({ 'user-agent': PLAIN_CHROME, [header]: 'prefetch' });
}

describe('scanners that ask for every link of a mail', () => {
  it('confirm nobody', async () => {
    await t.http.post('/p/niches').type('form').send({ email: READER });
    await t.runDue();
    const links = await linksOfLastMail();
    expect(links.some((link) => link.startsWith('/confirm/'))).toBe(true);
    const before = await state();
    await replay(links, [...MACHINES, PLAIN_CHROME]);
    await settle(t);
    await t.runDue();
    expect(await state()).toEqual(before);
    const confirm = links.find((link) => link.startsWith('/confirm/')) ?? '';
    await t.http.post(confirm).type('form').send({}).expect(200);
    await t.runDue();
    const [row]: { status: string }[] = await t.dataSource.query('select status from subscriber');
    expect(row?.status).toBe('active');
  }, 60_000);

  it('unsubscribe nobody and move nobody on, and one real POST still does', async () => {
    const links = await linksOfLastMail();
    for (const path of ['/u/', '/preferences/', '/c/', '/o/'])
      expect(links.filter((link) => link.startsWith(path))).not.toEqual([]);
    const before = await state();
    await replay(links, MACHINES);
    await settle(t);
    t.clock.advance(10_000);
    await settle(t);
    expect(await state()).toEqual(before);
    const classes: { class: string }[] = await t.dataSource.query(
      'select distinct class from tracking_event',
    );
    expect(classes.map((row) => row.class)).not.toContain('human');
    const unsubscribe = links.find((link) => link.startsWith('/u/')) ?? '';
    await t.http.post(unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
    const [row]: { status: string }[] = await t.dataSource.query('select status from subscriber');
    expect(row?.status).toBe('unsubscribed');
  }, 60_000);
});
