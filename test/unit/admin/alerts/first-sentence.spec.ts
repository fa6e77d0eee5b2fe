import { expect, it } from 'vitest';
import { firstSentence } from '../../../../src/admin/alerts/first-sentence.js';

it.each([
  ['The relay main is out', 'The relay main is out'],
  ['Too many complain. See Bounces.', 'Too many complain'],
  ['1.5 % of e.g. all mails bounced. The rest waits.', '1.5 % of e.g. all mails bounced'],
  [
    'The broadcast "Dr. No. A story" is paused: no reason. Go on.',
    'The broadcast "Dr. No. A story" is paused: no reason',
  ],
  ['The title "never ends. And so on', 'The title "never ends. And so on'],
  ['', ''],
])('of %j the mail is called %j', (message, subject) => {
  expect(firstSentence(message)).toBe(subject);
});
