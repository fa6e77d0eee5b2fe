import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OverdueService } from '../../../../src/delivery/waiting/overdue.service.js';
import { simulationFromFiles } from '../../../../src/funnels/simulation/simulation-files.js';
import { startTestApp, type TestApp } from '../../../support/app.js';
import { clear, courseText, expectSame, OWNER_ZONE } from './both-worlds.js';

describe('a simulation', { timeout: 120_000 }, () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ variables: { DEMO: 'false', TIME_ZONE: OWNER_ZONE } });
    // Jumping to the scenario is no outage.
    await test.app.get(OverdueService, { strict: false }).setSettings({ policy: 'send', afterHours: 24 });
  });
  afterAll(async () => test?.close());

  it('and a real run send broadcasts to the same arms of a step’s split test, and to whom it held out', async () => {
    const text = courseText('main', [
      { key: 'one', email: 'emails/story' },
      {
        ...{ key: 'pick', email: 'emails/story', delay: '1 day' },
        split: {
          judge: 'clicks',
          holdout: '20%',
          arms: [{ key: 'a' }, { key: 'b', subject: 'Other words' }],
        },
      },
      {
        key: 'ways',
        split: {
          judge: 'clicks',
          arms: ['long', 'short'].map((key) => ({
            key,
            steps: [{ key: `way-${key}`, email: 'emails/story', delay: key === 'long' ? '2 days' : '1 day' }],
          })),
        },
      },
    ]);
    const at = (day: number): string => `at: 2026-03-0${day}T12:00:00Z, email: emails/story`;
    const personas = `segments:
  b: { split: { funnel: main, step: pick, arm: b } }
  held: { split: { funnel: main, step: pick, arm: holdout } }
  long: { all: [{ split: { funnel: main, step: ways, arm: long } }, { not: { split: { funnel: main, step: pick, arm: a } } }] }
broadcasts:
- { key: early, ${at(4)}, segments: { any: [b] } }
- { key: to-b, subject: For b, ${at(5)}, segments: { any: [b] } }
- { key: to-held, subject: For none, ${at(5)}, segments: { any: [held] } }
- { key: to-rest, subject: For others, ${at(5)}, segments: { none: [b, held] } }
- { key: to-long, subject: For long, ${at(6)}, segments: { any: [long] } }
personas: [{ name: reader, count: 30, joins: 1 minute to 40 hours, timeZone: [UTC, Asia/Tokyo] }]`;
    const start = new Date('2026-03-02T09:00:00Z');
    const wishes = { start, days: 6, now: start };
    const order = simulationFromFiles([{ name: 'main', text }], { name: 'personas', text: personas }, wishes);
    try {
      const sizes = (await expectSame(test, order, [text])).map(({ recipients }) => recipients);
      expect(sizes.slice(1).every((size) => size > 0 && size < 30)).toBe(true);
      expect((sizes[1] ?? 0) + (sizes[2] ?? 0) + (sizes[3] ?? 0)).toBe(30);
    } finally {
      await clear(test);
    }
  });
});
