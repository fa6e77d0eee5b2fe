import { describe, expect, it } from 'vitest';
import { withoutAddresses } from '../../../src/bounces/bounce-key.js';

describe('what a server said, without the addresses in it', () => {
  it.each([
    ['550 5.1.1 <bob@example.org>: User unknown', '550 5.1.1 <…>: User unknown'],
    ['no such user: bob@example.org.', 'no such user: ….'],
    ['BOB@Example.ORG is over quota (bob@example.org)', '… is over quota (…)'],
    ['<x@bücher.example>: unknown', '<…>: unknown'],
    ['<jürgen@пример.example> rejected', '<…> rejected'],
    ['to "bob smith" <"bob.smith"@example.org>', 'to "bob smith" <…>'],
    ['mailto:bob+tips=x@mail.example.org?', 'mailto:…?'],
    ['rcpt bob@[192.0.2.4] refused', 'rcpt … refused'],
    ['nothing @ all', 'nothing @ all'],
  ])('%s', (said, kept) => {
    expect(withoutAddresses(said)).toBe(kept);
  });
});
