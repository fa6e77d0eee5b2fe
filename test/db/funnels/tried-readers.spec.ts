import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../src/funnels/funnels.service.js';
import type { Finding } from '../../../src/funnels/lint/rules.js';
import { funnelText, openCourse, type Course } from '../sequences/course.js';

const FIRST = '- { key: hello, email: emails/story, delay: 1 day }';
const MJML = (words: string): string => `<mjml>
  <mj-head><mj-title>Hello</mj-title></mj-head>
  <mj-body><mj-section><mj-column><mj-text>
  <p>A letter of some words.</p>
  <p>${words}</p>
  </mj-text></mj-column></mj-section>
  <mj-include path="../layouts/mail-foot-marketing.mjml" /></mj-body>
</mjml>`;

describe('a mail that is new in a funnel, and the people who are in it', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterEach(async () => t.clear());
  afterAll(async () => t?.test.close());

  const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
  const second = (words: string): string => `${funnelText(`${FIRST}
- { key: second, email: emails/own, delay: 1 day }`)}templates:
  emails/own.mjml: |
${MJML(words)
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
`;
  const apply = async (text: string) => funnels().apply(text, null, 'course.yaml');
  const said = async (text: string): Promise<Finding[]> =>
    (await apply(text)).warnings.filter(({ rule }) => rule.startsWith('reader-'));
  /** In the funnel as it is first, whose mails print nothing of them. */
  const enrolled = async (fields: Record<string, unknown>): Promise<string> => {
    if (!(await funnels().list()).some(({ key }) => key === 'course')) await t.publish(FIRST);
    const id = await t.person(`p${Math.trunc(performance.now() * 1000)}@example.com`, { fields });
    await t.enroll(id);
    return id;
  };

  it('is refused with field, reader and line when it breaks on what one of them has; the funnel goes on as it was', async () => {
    await enrolled({ country: 'Austria' });
    const odd = await enrolled({ country: '100%' });
    const text = second('Near {{ subscriber.fields.country | url_decode }}');
    const refused = `sequence.steps.1.email: templates/emails/own.mjml:5: {{ subscriber.fields.country }} breaks it for some readers, such as subscriber ${odd}: `;
    await expect(funnels().plan(text, null, 'course.yaml')).rejects.toThrow(refused);
    await expect(apply(text)).rejects.toThrow(refused);
    await t.at('2026-01-07T09:00:00Z');
    expect(await t.mails(odd)).toEqual(['hello']);
  });

  it('is told of, and goes, when a link of it leads one of them nowhere', async () => {
    const odd = await enrolled({ country: 'my page' });
    await enrolled({ country: 'https://example.com/' });
    expect(await said(second('<a href="{{ subscriber.fields.country }}">your page</a>'))).toMatchObject([
      {
        rule: 'reader-doubt',
        severity: 'warning',
        field: 'sequence.steps.1.email',
        message: `templates/emails/own.mjml:5: {{ subscriber.fields.country }} breaks it for some readers, such as subscriber ${odd}: a link in it leads to no address that can be opened`,
      },
    ]);
  });

  it('is not tried with those of others, nor tried anew when it runs already', async () => {
    await t.person('elsewhere@example.com', { fields: { country: '100%' } });
    await enrolled({ country: 'Austria' });
    const text = second('Near {{ subscriber.fields.country | url_decode }}');
    expect(await said(text)).toEqual([]);
    await enrolled({ country: '100%' });
    expect(await said(text.replace('title: A course', 'title: Another'))).toEqual([]);
    await expect(apply(text.replace('some words', 'other words'))).rejects.toThrow('url_decode');
  });
});
