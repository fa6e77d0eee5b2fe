import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { judgeMailHits, severalMails, type MailHit } from '../../../src/tracking/burst.js';
import { classifyHit, HIT_RULE_VERSION, type Hit } from '../../../src/tracking/hit-class.js';
import { networkOf } from '../../../src/tracking/mail-networks.js';
import { MADE_UP_MACHINES } from '../../support/machines.js';
import { PEOPLE } from './people.js';

const AT_MS = Date.parse('2026-03-02T09:00:00Z');
const at = (ms: number): Date => new Date(AT_MS + ms);
const [BROWSER = ''] = PEOPLE;

const hit = (change: Partial<Hit> = {}): Hit => ({
  ...{ kind: 'click', method: 'GET', userAgent: BROWSER, purpose: null, hasAcceptLanguage: true },
  ...{ fetchDest: 'document', network: null, local: false, at: at(60_000), acceptedAt: at(0) },
  ...change,
});

/** Each pair of `values` with each of the ones before. */
function combined(values: { [Name in keyof Hit]?: readonly Hit[Name][] }): Partial<Hit>[] {
  return Object.entries(values).reduce<Partial<Hit>[]>(
    (all, [name, some]) => all.flatMap((one) => some.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );
}

const ODD_HITS = combined({
  kind: ['open', 'click', 'visit'],
  method: ['GET', 'HEAD', null],
  userAgent: [BROWSER, 'curl/8.5.0', 'Mozilla/5.0', '', null],
  purpose: [null, 'prefetch', 'preview'],
  hasAcceptLanguage: [true, false, null],
  fetchDest: [null, 'document', 'image', 'iframe'],
  network: [null, 'apple'],
  local: [false, true],
  at: [at(0), at(1_999), at(2_000), at(60_000)],
});

function burst(links: number, apartMs: number, mails = 1): MailHit[] {
  return Array.from({ length: links }, (_, nth) => ({
    ...hit({ at: at(60_000 + nth * apartMs) }),
    ...{ kind: 'click', id: String(nth), messageId: String(nth % mails), linkId: String(nth), client: 'one' },
  }));
}

const classesOf = (hits: readonly MailHit[]): string =>
  [...judgeMailHits(hits).values()].map(({ class: found }) => found).join(' ');

function verdicts(): string[] {
  const ofNames = [...PEOPLE, ...MADE_UP_MACHINES].map((userAgent) => {
    const { class: found, reason } = classifyHit(hit({ userAgent }));
    return `${found} (${reason}): ${userAgent}`;
  });
  const ofOdd = createHash('sha256').update(
    JSON.stringify(ODD_HITS.map((change) => classifyHit(hit(change)))),
  );
  const ofBursts = [2, 3, 4, 5, 6].flatMap((links) =>
    [100, 450, 950, 1_050, 1_450, 2_100, 2_600, 9_000].map(
      (apartMs) =>
        `${links} links, ${apartMs} ms apart: ${classesOf(burst(links, apartMs))}; of as many mails: ${severalMails(burst(links, apartMs, links)).size}`,
    ),
  );
  const ofNetworks = ['17.1.2.3', '66.249.84.1', '66.102.8.1', '64.233.172.1', '72.14.199.1', '74.125.1.1'];
  return [
    ...ofNames,
    `${ODD_HITS.length} odd hits: ${ofOdd.digest('hex')}`,
    ...ofBursts,
    ...[...ofNetworks, '192.0.2.1', '2001:db8::1'].map((ip) => `${ip}: ${networkOf(ip) ?? 'nobody'}`),
  ];
}

/**
 * Each hit is stored with the version of the rules that judged it, and hits of earlier versions are judged anew: where rules
 * change under the same version, the figures of before and after are compared unawares. What changes here is one of two things:
 * a line was added, for a name that was added to the lists (`-u`), or the rules have changed, `isbot` among them. Then raise
 * `HIT_RULE_VERSION`, and remove the file of the version before.
 */
it('hits are judged as this version of the rules has judged them from its beginning', async () => {
  const { version } = JSON.parse(readFileSync('node_modules/isbot/package.json', 'utf8')) as {
    version: string;
  };
  const text = [`rules ${HIT_RULE_VERSION}, isbot ${version}`, ...verdicts(), ''].join('\n');
  await expect(text).toMatchFileSnapshot(`../../fixtures/hit-verdicts-${HIT_RULE_VERSION}.txt`);
});
