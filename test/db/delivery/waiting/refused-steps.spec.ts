import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { openCourse, type Course } from '../../sequences/course.js';

const DAY_MS = 86_400_000;

describe('a step that the relay refused because of the sender', () => {
  let t: Course;
  let sink: SmtpSink;
  beforeAll(async () => {
    sink = await openSmtpSink();
    t = await openCourse({}, sink.url);
  });
  afterAll(async () => {
    await t?.test.close();
    await sink?.close();
  });

  it('ends when the owner lets it go and a later one has reached its reader: it came between the others', async () => {
    await t.publish(
      ['story', 'nudge', 'deep-dive']
        .map((key) => `- { key: ${key}, email: emails/${key}, delay: 1 day }`)
        .join('\n'),
    );
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    sink.onBody = async () => ({ code: 550, text: '5.7.26 neither SPF nor DKIM passed' });
    t.clock.advance(DAY_MS);
    await t.test.runDue();
    sink.onBody = async () => undefined;
    t.clock.advance(DAY_MS + 60_000);
    await t.test.runDue();
    const states = async (): Promise<unknown> =>
      t.db.query('select step_key as step, state from message order by id');
    expect(await states()).toEqual([
      { step: 'story', state: 'held' },
      { step: 'nudge', state: 'accepted' },
    ]);
    expect((await t.post('/api/v1/messages/held/release', {})).body).toEqual({ released: 0 });
    await t.test.runDue();
    expect(await states()).toEqual([
      { step: 'story', state: 'cancelled' },
      { step: 'nudge', state: 'accepted' },
    ]);
  });
});
