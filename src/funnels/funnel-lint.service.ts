import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { AffiliatesService } from '../affiliates/affiliates.service.js';
import { affiliateProblems, affiliatesAsked } from './affiliate-problems.js';
import { namesTaken } from './between-funnels.js';
import { readFunnelFile } from './funnel-file.js';
import { FunnelPublisher } from './funnel-publisher.service.js';
import { FunnelSourcesService } from './funnel-sources.service.js';
import { funnelSchema, type FunnelDefinition } from './funnel.schemas.js';
import { lintDefinition, outlineOf } from './lint/lint.js';
import type { SequenceOutline } from './lint/loop-rules.js';
import { byLine, findingOf, type DefinitionProblem, type Finding } from './lint/rules.js';
import { located } from './yaml-file.js';

export interface LintedFunnel {
  /** Null when it is no funnel at all. */
  definition: FunnelDefinition | null;
  findings: Finding[];
}

/** Looks a funnel through, with the templates and files it names and the other funnels that are there. */
@Injectable()
export class FunnelLintService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly sources: FunnelSourcesService,
    private readonly publisher: FunnelPublisher,
    private readonly affiliates: AffiliatesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Each as `check`; what one of them names in another is there. */
  async checkAll(texts: readonly string[], folder: string | null): Promise<LintedFunnel[]> {
    const linted: LintedFunnel[] = [];
    for (const text of texts) {
      const others = texts.filter((other) => other !== text).map((other) => readFunnelFile(other));
      const along = others.flatMap((other) => (other.ok ? [other.definition] : []));
      linted.push(await this.check(text, folder, along));
    }
    return linted;
  }

  /**
   * @param folder where `files/…` are looked up; `null` leaves them out.
   * @param along funnels that are applied with this one.
   */
  async check(
    text: string,
    folder: string | null,
    along: readonly FunnelDefinition[] = [],
  ): Promise<LintedFunnel> {
    const file = readFunnelFile(text);
    if (!file.ok) return { definition: null, findings: file.problems };
    const problems = [
      ...namesTaken(file.definition, along),
      ...(await this.problems(file.definition, along)),
      ...(await this.sources.problems(file.definition, folder)),
    ];
    return { definition: file.definition, findings: located(file, problems).toSorted(byLine) };
  }

  /** A definition of then may use what is not allowed any more, or names that another funnel has taken since. */
  async checkStored(stored: FunnelDefinition): Promise<LintedFunnel> {
    const read = funnelSchema.safeParse(stored);
    const problems: DefinitionProblem[] = read.success
      ? await this.problems(read.data)
      : read.error.issues.map(({ path, message }) => ({ rule: 'wrong-value', path, message }));
    const findings = problems.map((problem) => findingOf(problem, null));
    return { definition: read.success ? read.data : null, findings };
  }

  private async problems(
    definition: FunnelDefinition,
    along: readonly FunnelDefinition[] = [],
  ): Promise<DefinitionProblem[]> {
    const { manager } = this.dataSource;
    const keys = along.map(({ funnel }) => funnel);
    const stored: SequenceOutline[] = await manager.query(
      `select q.key, v.definition from sequence q join sequence_version v on v.id = q.current_version_id where q.key <> all ($1)`,
      [[definition.funnel, ...keys]],
    );
    const others = [...stored, ...along.map(outlineOf)];
    return [
      ...lintDefinition(definition, { now: this.clock.now(), others }),
      ...(await this.publisher.conflicts(manager, definition, keys)),
      ...(await this.affiliateProblems(definition)),
    ];
  }

  private async affiliateProblems(definition: FunnelDefinition): Promise<DefinitionProblem[]> {
    const asked = affiliatesAsked(definition);
    if (asked.length === 0) return [];
    const known = await this.affiliates.known(asked.map(({ code }) => code));
    const some = await this.affiliates.list({ beforeId: undefined, limit: 1 });
    return affiliateProblems(asked, { known, isAnyThere: some.length > 0 });
  }
}
