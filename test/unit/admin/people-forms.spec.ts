import { describe, expect, it } from 'vitest';
import { readMapping, typedFrom } from '../../../src/admin/import-form.js';

describe('the form of an import', () => {
  const preview = { tables: [{ name: 'a.csv', headers: ['Email'], samples: [] }] };
  const known = { definitions: new Map(), lists: new Set<string>() };
  const FORM = { 'column.0': 'email', existing: 'fill', consentText: 'Send me tips' };

  it('makes nobody active by words that were left in the field of what they agreed to', () => {
    const read = (status: string): unknown => readMapping(typedFrom({ ...FORM, status }), preview, known);
    expect(read('pending')).toMatchObject({ options: { status: 'pending', consentText: null } });
    expect(read('active')).toMatchObject({ options: { status: 'active', consentText: 'Send me tips' } });
    const empty = readMapping(typedFrom({ ...FORM, status: 'active', consentText: ' ' }), preview, known);
    expect(empty).toMatchObject({ ok: false, errors: { consentText: expect.any(String) as string } });
  });
});
