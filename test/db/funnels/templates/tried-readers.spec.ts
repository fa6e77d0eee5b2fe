import type { EntityManager } from 'typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { FunnelLintService } from '../../../../src/funnels/lint/funnel-lint.service.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import type { Finding } from '../../../../src/funnels/lint/rules.js';
import { FunnelMails, type TimeToTry } from '../../../../src/funnels/templates/funnel-mails.service.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';

const FIRST = '- { key: hello, email: emails/story, delay: 1 day }';
const second = (email: string): string => `{ key: second, email: ${email}, delay: 1 day }`;
const MJML = (words: string, subject: string): string => `<mjml>
  <mj-head><mj-title>${subject}</mj-title></mj-head>
  <mj-body><mj-section><mj-column><mj-text>
  <p>A letter of some words.</p>
  <p>${words}</p>
  </mj-text></mj-column></mj-section>
  <mj-include path="../layouts/mail-foot-marketing.mjml" /></mj-body>
</mjml>`;
const FIELD = '{{ subscriber.fields.country }}';
const ODD = 'Near {{ subscriber.fields.country | url_decode }}';

interface Written {
  words?: string;
  subject?: string;
  email?: string;
  /** Behind the first one. */
  steps?: string;
  key?: string;
}

describe('a mail that is new in a funnel, and the people who are in it', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
    t.test.app.get(FunnelMails, { strict: false }).triedForMs = Infinity;
  });
  afterEach(async () => t.clear());
  afterAll(async () => t?.test.close());

  const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
  const funnel = ({
    words = 'More of them.',
    subject = 'Hello',
    email = 'emails/own',
    steps = `- ${second(email)}`,
    key = 'course',
  }: Written): string => `${funnelText(`${FIRST}\n${steps}`, '', key)}templates:
  ${email}.mjml: |
${MJML(words, subject)
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
`;
  const ofReaders = ({ rule }: Finding): boolean => rule.startsWith('reader-');
  const said = async (text: string): Promise<Finding[]> =>
    (await funnels().apply(text, null, 'course.yaml')).warnings.filter(ofReaders);
  /** In the funnel as it is first, whose mails print nothing of them. */
  const enrolled = async (fields: Record<string, unknown>, own = 'course'): Promise<string> => {
    if (!(await funnels().list()).some(({ key }) => key === own)) await t.publish(FIRST, '', own);
    const id = await t.person(`p${Math.trunc(performance.now() * 1000)}@example.com`, { fields });
    await t.enroll(id, own);
    return id;
  };
  const mayBreak = (id: string, place: string, reason: string): string =>
    `${place}: ${FIELD} may break it for some readers, such as subscriber ${id}: ${reason}`;

  it('is told of, and goes, with field, reader and line when it may break on what one of them has', async () => {
    await enrolled({ country: 'Austria' });
    const odd = await enrolled({ country: '100%' });
    const text = funnel({ words: ODD });
    const { warnings } = await funnels().plan(text, null, 'course.yaml');
    expect(warnings.filter(ofReaders)).toEqual(await said(text));
    expect(warnings.filter(ofReaders)).toMatchObject([
      {
        ...{ rule: 'reader-value', severity: 'warning', field: 'sequence.steps.1.email' },
        message: expect.stringContaining(mayBreak(odd, 'templates/emails/own.mjml:5', '')),
      },
    ]);
  });

  it.each([
    [
      'a branch keeps it from those who lack what it prints',
      `- { key: ours, if: { field: country, is: Austria }, then: [${second('emails/own')}] }`,
      ['hello'],
    ],
    [
      'a step before it sets what they lack',
      `- { key: fill, set: { country: Austria } }\n- ${second('emails/own')}`,
      ['hello', 'second'],
    ],
  ])('is not refused when %s', async (_, steps, sent) => {
    const odd = await enrolled({});
    const message = mayBreak(odd, 'templates/emails/own.mjml:2', 'the subject is empty');
    expect(await said(funnel({ subject: FIELD, steps }))).toMatchObject([{ rule: 'reader-value', message }]);
    const later = await enrolled({});
    await t.at('2026-01-07T09:00:00Z');
    await t.at('2026-01-09T09:00:00Z');
    expect(await t.mails(later)).toEqual(sent);
  });

  it('is told of, and goes, when a link of it leads one of them nowhere', async () => {
    const odd = await enrolled({ country: 'my page' });
    await enrolled({ country: 'https://example.com/' });
    const reason = 'a link in it leads to no address that can be opened';
    expect(await said(funnel({ words: `<a href="${FIELD}">your page</a>` }))).toMatchObject([
      {
        ...{ rule: 'reader-doubt', severity: 'warning', field: 'sequence.steps.1.email' },
        message: mayBreak(odd, 'templates/emails/own.mjml:5', reason),
      },
    ]);
  });

  it('is not tried with those of others, nor tried anew when it runs already', async () => {
    await t.person('elsewhere@example.com', { fields: { country: '100%' } });
    await enrolled({ country: 'Austria' });
    const text = funnel({ words: ODD });
    expect(await said(text)).toEqual([]);
    await enrolled({ country: '100%' });
    expect(await said(text.replace('title: A course', 'title: Another'))).toEqual([]);
    expect(await said(text.replace('some words', 'other words'))).toMatchObject([{ rule: 'reader-value' }]);
  });

  it('is found in its own file, and not in a mail of the web app that has its name', async () => {
    const odd = await enrolled({});
    await t.db.query(
      `insert into written_mail (key, subject, preview, body, created_at, updated_at)
       values ('written/own', 'Hello', '', 'Words', now(), now())`,
    );
    const message = mayBreak(odd, 'templates/written/own.mjml:2', 'the subject is empty');
    const found = await said(funnel({ subject: FIELD, email: 'written/own' }));
    await t.db.query('delete from written_mail');
    expect(found).toMatchObject([{ message }]);
  });

  const keys = ['course', 'another'];
  const lintedBoth = async (
    words: string,
    { time, before }: { time?: TimeToTry; before?: (manager: EntityManager) => void } = {},
  ): Promise<Finding[]> => {
    const linter = t.test.app.get(FunnelLintService, { strict: false });
    const files = keys.map((key) => ({
      ...{ name: `${key}.yaml`, text: funnel({ words, key }), before: 0, folder: null },
    }));
    return t.db.transaction(async (manager) => {
      before?.(manager);
      const linted = await linter.checkAll(manager, files, time);
      return linted.flatMap(({ findings }) => findings.filter(ofReaders));
    });
  };

  it('is tried within one time for all funnels of a change, and what is left then is said once for each mail', async () => {
    for (const key of keys) await enrolled({ country: '100%' }, key);
    const several = `${ODD} {{ subscriber.fields.plan | url_decode }} {{ subscriber.fields.day | url_decode }}`;
    expect((await lintedBoth(several)).map(({ rule }) => rule)).toEqual(['reader-value', 'reader-value']);
    const named = ['country', 'plan', 'day'].map((key) => `{{ subscriber.fields.${key} }}`).join(', ');
    const message = expect.stringContaining(`only the first 0 values of ${named} were tried; `);
    const untried = { rule: 'reader-doubt', message };
    expect(await lintedBoth(several, { time: { leftMs: -Infinity } })).toMatchObject([untried, untried]);
  });

  it('is tried though all of its funnels were read for longer than it may be', async () => {
    for (const key of keys) await enrolled({ country: '100%' }, key);
    const [mails, now] = [t.test.app.get(FunnelMails, { strict: false }), performance.now.bind(performance)];
    mails.triedForMs = 3_600_000;
    let laterMs = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + laterMs);
    try {
      const before = (manager: EntityManager): void => {
        const query = manager.query.bind(manager);
        // With each funnel that is looked through.
        vi.spyOn(manager, 'query').mockImplementation(async (text, given) => {
          if (String(text).includes('select q.key, v.definition')) laterMs += 2 * mails.triedForMs;
          return query(text, given);
        });
      };
      const found = await lintedBoth(ODD, { before });
      expect(laterMs).toBe(4 * mails.triedForMs);
      expect(found.map(({ rule }) => rule)).toEqual(['reader-value', 'reader-value']);
    } finally {
      clock.mockRestore();
      mails.triedForMs = Infinity;
    }
  });
});
