import { describe, expect, it } from 'vitest';
import { readMapping, mappingTypedFrom } from '../../../src/admin/imports/import-form.js';
import { importView } from '../../../src/admin/imports/import-view.js';
import { personTypedFrom, readPerson, typedOfPerson } from '../../../src/admin/people/person-form.js';
import type { ImportJob } from '../../../src/imports/import-job.js';

describe('the form of an import', () => {
  const preview = { tables: [{ name: 'a.csv', headers: ['Email'], samples: [] }] };
  const known = { definitions: new Map(), lists: new Set<string>() };
  const FORM = { 'column.0': 'email', existing: 'fill', consentText: 'Send me tips' };

  it('makes nobody active by words that were left in the field of what they agreed to', () => {
    const read = (status: string): unknown =>
      readMapping(mappingTypedFrom({ ...FORM, status }), preview, known);
    expect(read('pending')).toMatchObject({ options: { status: 'pending', consentText: null } });
    expect(read('active')).toMatchObject({ options: { status: 'active', consentText: 'Send me tips' } });
    const empty = readMapping(
      mappingTypedFrom({ ...FORM, status: 'active', consentText: ' ' }),
      preview,
      known,
    );
    expect(empty).toMatchObject({ ok: false, errors: { consentText: expect.any(String) as string } });
  });
});

describe('the form of a person', () => {
  const note = { key: 'note', label: 'Note', type: 'text' as const, choices: [] };
  const definitions = new Map([['note', note]]);
  const person = { name: 'Ada\nWinters', timeZone: null, tags: [], fields: { note: 'Two\nlines' } };
  /** A field of one line takes the breaks out; what is hidden comes back with those of a browser. */
  const sent = (note: string): Record<string, string> => ({
    ...{ name: 'AdaWinters', 'was.name': 'Ada\r\nWinters', 'field.note': note },
    'was.field.note': typedOfPerson(person, definitions, []).was['field.note']?.replace('\n', '\r\n') ?? '',
  });

  it('leaves a text of several lines as it is, unless it was changed: any save made one line of it', () => {
    const read = (note: string): unknown => readPerson(personTypedFrom(sent(note), definitions), definitions);
    const change = { fields: {}, tags: { added: [], removed: [] }, lists: { added: [], removed: [] } };
    expect(read('Twolines')).toEqual({ ok: true, change });
    expect(read('Three')).toEqual({ ok: true, change: { ...change, fields: { note: 'Three' } } });
  });
});

describe('the page of an import', () => {
  const job: ImportJob = {
    ...{ id: '1', fileName: 'a.csv', state: 'checked', dryRun: true, source: null, preview: null },
    options: {
      ...{ columns: {}, status: 'pending', consentText: null, existing: 'fill', tags: [], lists: [] },
      ...{ dateOrder: null, encoding: null, delimiter: null },
    },
    advice: {},
    counts: { created: 5, skipped: 40, suppressed: 2, duplicate: 3, rejected: 1 },
    ...{ totalRows: 51, createdAt: new Date(0) },
    ...{ stagedAt: new Date(0), startedAt: new Date(0), endedAt: new Date(0) },
  };

  it.each([
    ['checked', true, 4],
    ['done', false, 46],
    ['cancelled', true, 0],
    ['cancelled', false, 0],
  ] as const)('offers no rows that its report does not have: %s, dry run %s', (state, dryRun, reported) => {
    expect(importView({ ...job, state, dryRun }).reported).toBe(reported);
  });
});
