import { expect, it } from 'vitest';
import { funnelJsonSchema } from '../../../src/funnels/schemas/funnel-json-schema.js';
import { optionsIn } from '../../support/schema-options.js';
import { lostTests } from '../../support/shown-by.js';
import { FILES, WHAT_A_FUNNEL_HAS } from './options-shown.js';
import { WHAT_A_SEQUENCE_DOES } from './step-options-shown.js';

/** An option that is taken and not obeyed has no such test. */
it('each option of a funnel file has a test of what it does, which is there', () => {
  const shown = { ...WHAT_A_FUNNEL_HAS, ...WHAT_A_SEQUENCE_DOES };
  expect(Object.keys(shown).toSorted()).toEqual([...optionsIn(funnelJsonSchema()).keys()].toSorted());
  expect(lostTests(shown, FILES)).toEqual([]);
});
