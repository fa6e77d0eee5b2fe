import { describe, expect, it } from 'vitest';
import { judgeMail } from '../../../src/bounces/judge-mail.js';
import { PROVIDER_MAILS } from '../../support/mail-providers.js';
import { ENTERPRISE_MAILS } from '../../support/mail-systems.js';

describe('reports of mail systems one meets', () => {
  it.each([...ENTERPRISE_MAILS, ...PROVIDER_MAILS])(
    '$name: $verdict',
    async ({ verdict, recipients, mail }) => {
      const judged = await judgeMail(Buffer.from(mail));
      expect(judged.verdict).toBe(verdict);
      if (verdict === 'ignore') return;
      expect(new Set(judged.findings.map(({ recipient }) => recipient))).toEqual(new Set(recipients));
    },
  );
});
