import { describe, expect, it } from 'vitest';
import { recipientGroup } from '../../../src/delivery/pacing/recipient-group.js';

describe('the provider behind a domain, by its name', () => {
  it.each([
    ['gmail.com', 'gmail'],
    ['googlemail.com', 'gmail'],
    ['outlook.com', 'outlook'],
    ['hotmail.co.uk', 'outlook'],
    ['live.nl', 'outlook'],
    ['outlook.com.br', 'outlook'],
    ['msn.com', 'outlook'],
    ['yahoo.com', 'yahoo'],
    ['yahoo.co.jp', 'yahoo'],
    ['yahoo.com.ar', 'yahoo'],
    ['aol.com', 'yahoo'],
    ['ymail.com', 'yahoo'],
    ['example.com', 'other'],
    ['notgmail.com', 'other'],
    ['gmail.com.example.net', 'other'],
    ['live.example.com', 'other'],
    ['', 'other'],
  ])('%s is %s', (domain, group) => {
    expect(recipientGroup(domain)).toBe(group);
  });
});
