import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { AffiliatesService } from '../affiliates/affiliates.service.js';
import { affiliateProblems, affiliatesAsked } from './affiliate-problems.js';
import { readFunnelFile } from './funnel-file.js';
import { FunnelPublisher } from './funnel-publisher.service.js';
import { FunnelSourcesService } from './funnel-sources.service.js';
import { funnelSchema, type FunnelDefinition } from './funnel.schemas.js';
import { lintDefinition } from './lint/lint.js';
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

  /** @param folder where `files/…` are looked up; `null` leaves them out. */
  async check(text: string, folder: string | null): Promise<LintedFunnel> {
    const file = readFunnelFile(text);
    if (!file.ok) return { definition: null, findings: file.problems };
    const problems = [
      ...(await this.problems(file.definition)),
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

  private async problems(definition: FunnelDefinition): Promise<DefinitionProblem[]> {
    const { manager } = this.dataSource;
    const asked = affiliatesAsked(definition);
    const codes = asked.map(({ code }) => code);
    const others: SequenceOutline[] = await manager.query(
      `select q.key, v.definition from sequence q join sequence_version v on v.id = q.current_version_id where q.key <> $1`,
      [definition.funnel],
    );
    return [
      ...lintDefinition(definition, { now: this.clock.now(), others }),
      ...(await this.publisher.conflicts(manager, definition)),
      ...affiliateProblems(asked, asked.length === 0 ? new Set() : await this.affiliates.known(codes)),
    ];
  }
}
