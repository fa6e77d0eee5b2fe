import { expect, it } from 'vitest';
import { runCommand } from '../../../src/commands/wellspring.command.js';

it.each([
  ['preflight', 'broadcast:x'],
  ['test-mail', 'broadcast:x', '--to', 'owner@example.com'],
  ['unknown', 'resend', 'broadcast:x'],
  ['broadcast', 'words', 'broadcast:x'],
  ['broadcast', 'resend', 'broadcast:'],
  ['mails', '--broadcast', 'broadcast:7 '],
])(
  '%s took a broadcast without a number for a funnel or a template, or had words of its own for it',
  async (...args) => {
    let error = '';
    const code = await runCommand(args, { env: {}, out: () => {}, error: (text) => (error += text) });
    expect([code, error]).toEqual([
      2,
      expect.stringContaining('a broadcast is named by its number, such as broadcast:7'),
    ]);
  },
);
