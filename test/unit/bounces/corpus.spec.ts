import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { corpusFolder } from '../../support/corpora.js';
import { PROVIDER_MAILS } from '../../support/mail-providers.js';
import { ENTERPRISE_MAILS } from '../../support/mail-systems.js';
import { RETURNED_MAILS } from '../../support/returned-mails.js';

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

/** Recipients who are named after what happened to their mail. */
const NAMED_AFTER: Readonly<Record<string, string>> = {
  authfailure: 'sender',
  blocked: 'sender',
  contenterror: 'sender',
  policyviolation: 'sender',
  securityerror: 'sender',
  virusdetected: 'sender',
  filtered: 'soft',
  onhold: 'soft',
  systemerror: 'soft',
  hasmoved: 'hard',
  hostunknown: 'hard',
  notaccept: 'hard',
  userunknown: 'hard',
};

/**
 * Of the 364 mails 340 carry what the oracle found and are all compared; 3 are no bounces. In 21 reports of two mail systems it
 * found nothing, as it did not know them yet: those are judged by what the names of their recipients say.
 */
describe.skipIf(folder === null)('364 mails others collected, as Sisimai reads them', () => {
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

  it('reads the reports the oracle had no eyes for', async () => {
    const unread = Object.keys(expected).filter(
      (name) => expected[name]?.length === 0 && name.startsWith('bounce/'),
    );
    const wrong: string[] = [];
    for (const name of unread) {
      const { verdict, findings } = await judge(name);
      const local = findings[0]?.recipient?.split('@')[0] ?? 'nobody';
      const wanted = NAMED_AFTER[local];
      if (findings.length !== 1 || (wanted !== undefined && wanted !== verdict)) wrong.push(name);
    }
    console.log(
      `bounces: ${unread.length} more without an answer to compare with, ${wrong.length} not as named`,
    );
    // "User unknown" beside 5.2.1: the oracle's authors call it a filter; in the rest of the corpus it is an unknown user.
    expect(wrong.length).toBeLessThanOrEqual(1);
  });

  it('finds nothing in mails that are no bounces', async () => {
    const others = Object.keys(expected).filter((name) => name.startsWith('not-a-bounce/'));
    expect(others.length).toBeGreaterThan(0);
    for (const name of others) expect([name, (await judge(name)).verdict]).toEqual([name, 'ignore']);
  });
});

/** Made up for these tests in the manner of mail systems one meets: the same bars hold where the others' mails are absent. */
describe('mails of our own making', () => {
  const mails = [...RETURNED_MAILS, ...ENTERPRISE_MAILS, ...PROVIDER_MAILS];

  it('are judged with the same agreement, and no policy is held against a person', async () => {
    const wrong = { hard: [] as string[], recipient: [] as string[], blamed: [] as string[] };
    for (const { name, verdict, recipients, mail } of mails) {
      const judged = await judgeMail(Buffer.from(mail));
      if ((judged.verdict === 'hard') !== (verdict === 'hard')) wrong.hard.push(name);
      if (judged.verdict === 'hard' && (verdict === 'sender' || verdict === 'ignore'))
        wrong.blamed.push(name);
      const found = judged.findings.map(({ recipient }) => recipient ?? '');
      if (verdict !== 'ignore' && !recipients.every((one) => found.includes(one))) wrong.recipient.push(name);
    }
    expect(mails.length).toBeGreaterThan(80);
    expect(wrong.blamed).toEqual([]);
    for (const mistakes of [wrong.hard, wrong.recipient])
      expect(1 - mistakes.length / mails.length).toBeGreaterThanOrEqual(BAR);
  });
});
