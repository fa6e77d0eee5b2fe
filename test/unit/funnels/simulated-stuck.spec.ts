import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { funnelSchema } from '../../../src/funnels/schemas/funnel.schemas.js';
import { advanceVirtual } from '../../../src/funnels/simulation/virtual-advance.js';
import { emptyRecord, type VirtualEnrollment } from '../../../src/funnels/simulation/virtual-record.js';
import { virtualFunnels } from '../../../src/funnels/simulation/virtual-sequences.js';

const TEXT = `funnel: main
title: A funnel
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: main, headline: Get it, consent: Send it to me, optIn: single }
sequence:
  window: { days: [mon], from: "08:00", to: "10:00" }
  steps: [{ key: a, email: emails/story }, { key: b, email: emails/story, at: "23:00" }]
`;

describe('a person of a simulation who cannot go on', () => {
  it('came to their step when they did, not an hour later: an event of that hour was none since the step', () => {
    const came = new Date('2026-03-02T09:00:00Z');
    const record = emptyRecord({ personId: '1', timeZone: 'UTC', status: 'active' });
    const one: VirtualEnrollment = {
      ...{ id: '1', sequence: 'main', occurrence: 1, status: 'active', exitReason: null, stepKey: 'a' },
      ...{ nextAt: came, waitUntil: null, watches: null, startedAt: came, endedAt: null },
      entryKey: undefined,
    };
    record.enrollments.push(one);
    const told: string[] = [];
    const funnels = virtualFunnels([funnelSchema.parse(parse(TEXT))]);
    const tell = (_: Date, { what }: { what: string }): number => told.push(what);
    advanceVirtual({ funnels, record, toldWaits: new Map(), tell }, came);
    expect(told).toEqual(['stuck']);
    expect(one).toMatchObject({ stepKey: 'a', nextAt: new Date('2026-03-02T10:00:00Z'), cameAt: came });
    advanceVirtual({ funnels, record, toldWaits: new Map(), tell }, new Date('2026-03-02T10:00:00Z'));
    expect(one).toMatchObject({ nextAt: new Date('2026-03-02T11:00:00Z'), cameAt: came });
  });
});
