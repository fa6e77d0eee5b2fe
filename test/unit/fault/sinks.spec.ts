import { expect, it } from 'vitest';
import { Sinks } from '../../fault/sinks.js';

it('a mail that two relays have taken was taken twice, whoever it was for', () => {
  const sinks = new Sinks([{}, {}], 1);
  const [one, other] = sinks.all;
  one?.take('<1@example.com>', 'ada@example.net');
  other?.take('<1@example.com>', 'ada@example.net');
  other?.take('<2@example.com>', 'grace@example.net');
  expect([...sinks.taken]).toEqual([
    ['<1@example.com>', 2],
    ['<2@example.com>', 1],
  ]);
  expect(sinks.takenTotal).toBe(3);
  expect(sinks.recipients.get('<2@example.com>')).toBe('grace@example.net');
});

it('the lanes of one worker are those that each relay has seen open, and no more than it has', () => {
  const sinks = new Sinks([{}, {}], 1);
  for (const [index, open] of [40, 5].entries()) {
    const sink = sinks.all[index];
    if (sink) sink.mostOpen = open;
  }
  expect(sinks.lanes(0)).toBe(32 + 5);
  expect(sinks.lanes(16)).toBe(40 + 5);
});
