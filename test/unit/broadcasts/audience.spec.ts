import { describe, expect, it } from 'vitest';
import { audienceSchema, compileAudience } from '../../../src/broadcasts/audience.js';

describe('an audience', () => {
  it.each([
    ['nothing at all', {}],
    ['everybody and a filter', { everybody: true, funnel: 'guide' }],
    ['everybody denied', { everybody: false }],
    ['an empty list of tags', { tags: { any: [] } }],
    ['tags without a list', { tags: {} }],
    ['a word it does not know', { tags: { some: ['a'] } }],
    ['a field it does not know', { segment: '1' }],
    ['a funnel with a quotation mark', { funnel: "x' or true --" }],
    ['too many tags', { tags: { any: Array.from({ length: 51 }, (_, index) => `t${index}`) } }],
    ['a tag that is no text', { tags: { any: [1] } }],
  ])('is refused: %s', (_, audience) => {
    expect(audienceSchema.safeParse(audience).success).toBe(false);
  });

  it('counts a tag that is named twice once', () => {
    expect(audienceSchema.parse({ tags: { all: ['a', 'a ', 'b'] } })).toEqual({ tags: { all: ['a', 'b'] } });
  });

  it('is everybody who is active when it says so', () => {
    expect(compileAudience({ everybody: true }, 4)).toEqual({
      text: `s.status = 'active'`,
      parameters: [],
    });
  });

  it('puts what was typed into parameters only, numbered from the first', () => {
    const evil = `'); drop table subscriber; --`;
    const { text, parameters } = compileAudience(
      { tags: { any: [evil], all: ['b'], none: ['c'] }, funnel: 'guide' },
      4,
    );
    expect(text).not.toContain(evil);
    expect(parameters).toEqual([[evil], ['b'], ['c'], 'guide']);
    expect([...new Set(text.match(/\$\w+/g))]).toEqual(['$4', '$5', '$6', '$7']);
  });
});
