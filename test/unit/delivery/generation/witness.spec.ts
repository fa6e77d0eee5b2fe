import { describe, expect, it } from 'vitest';
import { readWitness, type Witness } from '../../../../src/delivery/generation/witness.js';

const witness: Witness = {
  claimed: { id: '7', epoch: 2 },
  entered: { id: '6', epoch: 1 },
  ended: null,
  lineage: 'a',
  generation: 1,
  server: '12.5',
};

describe('what a worker was told last, as it stands in its file', () => {
  it('is read as it was written, blanks behind it or not', () => {
    for (const text of [JSON.stringify(witness), JSON.stringify(witness).padEnd(512)])
      expect(readWitness(text)).toEqual(witness);
  });

  it.each<[string, unknown]>([
    ['no object', 7],
    ['nothing', null],
    ['no server', { ...witness, server: undefined }],
    ['a generation that is no number', { ...witness, generation: '1' }],
    ['no word about the claim', { ...witness, claimed: undefined }],
    ['a mail without a number', { ...witness, claimed: { epoch: 1 } }],
    ['a number that PostgreSQL would not take', { ...witness, ended: { id: '9'.repeat(19), epoch: 1 } }],
    ['an epoch that PostgreSQL would not take', { ...witness, ended: { id: '1', epoch: 2 ** 31 } }],
  ])('is nothing with %s', (_, value) => {
    expect(readWitness(JSON.stringify(value))).toBeNull();
  });

  it('is nothing when half of it is there', () => {
    expect(readWitness(JSON.stringify(witness).slice(0, -1))).toBeNull();
    expect(readWitness('')).toBeNull();
  });
});
