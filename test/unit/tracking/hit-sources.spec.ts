import { describe, expect, it } from 'vitest';
import { HitSources } from '../../../src/tracking/hit-sources.js';

describe('the source of a hit', () => {
  const noon = Date.parse('2026-03-01T12:00:00Z');
  const headers = { 'user-agent': 'Browser/1', 'accept-language': 'en' };
  const reader = { ip: '192.0.2.1', method: 'GET', headers };
  const sources = (): HitSources => new HitSources(Buffer.alloc(32), false);

  it('is one for all hits of a client on one day', () => {
    const known = sources();
    const first = known.of('click', reader, noon);
    expect(known.of('click', { ...reader, headers: { ...headers } }, noon + 60_000)).toBe(first);
    expect(known.of('click', reader, noon + 86_400_000).ipHash).not.toBe(first.ipHash);
  });

  it.each([
    ['kind', 'open', reader],
    ['address', 'click', { ...reader, ip: '192.0.2.2' }],
    ['method', 'click', { ...reader, method: 'HEAD' }],
    ['program', 'click', { ...reader, headers: { ...headers, 'user-agent': 'Browser/2' } }],
    ['language', 'click', { ...reader, headers: { ...headers, 'accept-language': '' } }],
    ['purpose', 'click', { ...reader, headers: { ...headers, 'sec-purpose': 'prefetch' } }],
    ['destination', 'click', { ...reader, headers: { ...headers, 'sec-fetch-dest': 'image' } }],
    ['want of a program', 'click', { ...reader, headers: { 'accept-language': 'en' } }],
  ] as const)('is another one for another %s', (_what, kind, request) => {
    const known = sources();
    const first = known.of('click', reader, noon);
    const other = known.of(kind, request, noon);
    expect(other).not.toEqual(first);
    expect(known.of('click', reader, noon)).toBe(first);
    expect(known.of(kind, request, noon)).toBe(other);
  });

  it('is worked out anew once two thousand are known, so that a flood of clients takes no more memory', () => {
    const known = sources();
    const first = known.of('click', reader, noon);
    for (let n = 0; n < 1_999; n++) known.of('click', { ...reader, ip: `198.51.100.${n}` }, noon);
    const again = known.of('click', reader, noon);
    expect(again).toEqual(first);
    expect(again).not.toBe(first);
  });
});
