import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { isHandTool, judgeUserAgent } from '../../../src/tracking/user-agent.js';
import { MADE_UP_MACHINES } from '../../support/machines.js';
import { PEOPLE } from './people.js';

const CORPUS = [
  fileURLToPath(new URL('../../../../shared/corpora/user-agents/machines.json', import.meta.url)),
  '/work/shared/corpora/user-agents/machines.json',
].find((path) => existsSync(path));
if (CORPUS === undefined)
  console.log('Left out: the corpus of user agents is not at ../shared/corpora/user-agents.');

const isMachine = (userAgent: string): boolean => judgeUserAgent(userAgent).kind !== 'person';

describe('user agents', () => {
  it.skipIf(CORPUS === undefined)(
    'of all crawlers and scanners of the corpus are told from all of people',
    () => {
      const machines = (JSON.parse(readFileSync(CORPUS ?? '', 'utf8')) as { userAgent: string }[]).map(
        ({ userAgent }) => userAgent,
      );
      const missed = machines.filter((userAgent) => !isMachine(userAgent));
      const accused = PEOPLE.filter(isMachine);
      const found = machines.length - missed.length;
      const precision = found / (found + accused.length);
      const recall = found / machines.length;
      console.log(
        `User agents: ${machines.length} machines, ${PEOPLE.length} people: precision ${precision.toFixed(4)}, recall ${recall.toFixed(4)}`,
      );
      expect(machines.length).toBeGreaterThan(1_500);
      expect({ missed, accused }).toEqual({ missed: [], accused: [] });
    },
  );

  it('of made-up programs are told from all of people, also where that corpus is absent', () => {
    const missed = MADE_UP_MACHINES.filter((userAgent) => !isMachine(userAgent));
    expect(MADE_UP_MACHINES.length).toBeGreaterThan(50);
    expect({ missed, accused: PEOPLE.filter(isMachine) }).toEqual({ missed: [], accused: [] });
  });

  it.each(PEOPLE)('of people are left alone: %s', (userAgent) => {
    expect(judgeUserAgent(userAgent).kind).toBe('person');
  });

  it.each([
    ['', 'scanner'],
    ['curl/8.5.0', 'scanner'],
    ['MadeUpLinkChecker/1.0', 'scanner'],
    ['Mozilla/5.0 (compatible; MadeUp/1.0)', 'scanner'],
    [
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 https://example.com/us',
      'scanner',
    ],
    [
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Checkthing',
      'foreign',
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7; probe-17) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36',
      'foreign',
    ],
    ['Mozilla/5.0 (probe) Gecko/20100101 Firefox/140.0', 'foreign'],
    ['Mozilla/5.0', 'proxy'],
    ['Mozilla/5.0 (X11; Linux x86_64) ExampleMail Image-Proxy', 'proxy'],
  ])('of programs are noticed by their shape, also unknown ones: %s', (userAgent, kind) => {
    expect(judgeUserAgent(userAgent).kind).toBe(kind);
  });

  it('take no longer for being long', () => {
    const from = process.cpuUsage();
    for (const piece of ['(', '[', 'A/1 ', ' (compatible;', 'Mozilla/5.0 ((', '/', ';'])
      judgeUserAgent(`Mozilla/5.0 ${piece.repeat(500 / piece.length)}`);
    // A thousand times what it takes; a pattern that tries all ways would not end.
    expect(process.cpuUsage(from).user).toBeLessThan(3_000_000);
  });

  it('of tools in a developer’s hand', () => {
    expect(['', 'curl/8.5.0', 'node', 'python-requests/2.32'].every(isHandTool)).toBe(true);
    expect(['Mozilla/5.0', 'Googlebot/2.1', ...PEOPLE].some(isHandTool)).toBe(false);
  });
});
