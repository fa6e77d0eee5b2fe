import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { corpusFolder } from '../../support/corpora.js';

interface Expected {
  recipient: string;
  reason: string;
  hardbounce: boolean;
}

const folder = corpusFolder('bounces');
const BAR = 0.98;
/** Reasons of the oracle that are about the sender or the mail: never to be held against a person. */
const NOT_THE_PERSON = [
  'badreputation blocked authfailure requireptr rejected policyviolation securityerror spamdetected virusdetected',
  'norelaying toomanyconn ratelimited speeding contenterror notcompliantrfc mesgtoobig exceedlimit',
].flatMap((names) => names.split(' '));

/** Mails the oracle found nothing in, though they are reports, are not compared. */
describe.skipIf(folder === null)('361 mails others collected, as Sisimai reads them', () => {
  const expected = JSON.parse(
    folder === null ? '{}' : readFileSync(`${folder}expected.json`, 'utf8'),
  ) as Record<string, Expected[]>;
  const names = Object.keys(expected).filter((name) => (expected[name]?.length ?? 0) > 0);
  const judge = async (name: string) => judgeMail(readFileSync(`${folder}${name}`));
  const list = (values: (string | null)[]) =>
    [...new Set(values.map((value) => value?.toLowerCase()))]
      .toSorted((a = '', b = '') => a.localeCompare(b))
      .join(' ');

  it('agrees on hard or not and on the recipient in 98 of 100, and never blames a person for a policy', async () => {
    const wrong = { hard: [] as string[], recipient: [] as string[], blamed: [] as string[] };
    for (const name of names) {
      const wanted = expected[name] ?? [];
      const { verdict, findings } = await judge(name);
      const hard = wanted.some(({ hardbounce }) => hardbounce);
      if ((verdict === 'hard') !== hard) wrong.hard.push(name);
      if (verdict === 'hard' && wanted.every(({ reason }) => NOT_THE_PERSON.includes(reason)))
        wrong.blamed.push(name);
      if (list(wanted.map(({ recipient }) => recipient)) !== list(findings.map(({ recipient }) => recipient)))
        wrong.recipient.push(name);
    }
    const share = (mistakes: string[]) => 1 - mistakes.length / names.length;
    console.log(
      `bounces: ${names.length} mails, hard or not ${share(wrong.hard).toFixed(4)}, recipient ${share(wrong.recipient).toFixed(4)}, blamed ${wrong.blamed.length}`,
    );
    expect(wrong.blamed).toEqual([]);
    expect(share(wrong.hard)).toBeGreaterThanOrEqual(BAR);
    expect(share(wrong.recipient)).toBeGreaterThanOrEqual(BAR);
  }, 120_000);

  it('finds nothing in mails that are no bounces', async () => {
    const others = Object.keys(expected).filter((name) => name.startsWith('not-a-bounce/'));
    expect(others.length).toBeGreaterThan(0);
    for (const name of others) expect([name, (await judge(name)).verdict]).toEqual([name, 'ignore']);
  });
});
