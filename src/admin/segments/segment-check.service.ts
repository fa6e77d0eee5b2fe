import { Injectable } from '@nestjs/common';
import { type Condition, conditionSchema, leavesOf } from '../../segments/condition.js';
import { SegmentsService } from '../../segments/segments.service.js';
import { FieldsService } from '../../subscribers/fields.service.js';
import { DomainError } from '../../values/domain-error.js';
import { conditionsTyped, type SegmentTyped } from './segment-form.js';
import { ruleProblems, type SegmentProblem, shapeProblems } from './segment-problems.js';

export type Checked = { ok: true; conditions: Condition } | { ok: false; problems: SegmentProblem[] };

/** Whether what was typed can be asked, and if not, what is wrong with which input. */
@Injectable()
export class SegmentCheck {
  constructor(
    private readonly segments: SegmentsService,
    private readonly fields: FieldsService,
  ) {}

  async of(typed: SegmentTyped): Promise<Checked> {
    const { conditions, places } = conditionsTyped(typed, await this.fields.definitions());
    if (conditions === null)
      return refused([{ name: '', label: '', message: 'Choose at least one condition.' }]);
    const leaves = new Map(leavesOf(conditions as Condition).map(({ leaf, path }) => [path, leaf]));
    const problems = shapeProblems(places, (place) => leaves.get(place));
    if (problems.length > 0) return refused(problems);
    const parsed = conditionSchema.safeParse(conditions);
    if (!parsed.success) {
      const [first] = parsed.error.issues;
      return refused([
        { name: '', label: '', message: first?.message ?? 'These conditions cannot be asked.' },
      ]);
    }
    try {
      await this.segments.check(parsed.data);
      return { ok: true, conditions: parsed.data };
    } catch (error) {
      if (!(error instanceof DomainError) || !Array.isArray(error.facts['errors'])) throw error;
      return refused(ruleProblems(error.facts['errors'] as { field: string; message: string }[], places));
    }
  }
}

function refused(problems: SegmentProblem[]): Checked {
  return { ok: false, problems };
}
