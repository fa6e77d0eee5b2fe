import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { Texts } from '../values/template-texts.js';
import { AffiliatesService } from '../affiliates/affiliates.service.js';
import { affiliateProblems, affiliatesAsked } from './affiliate-problems.js';
import { namesTaken } from './between-funnels.js';
import { fieldDefinitions } from '../subscribers/subscribers.queries.js';
import type { FieldDefinition } from '../subscribers/field.js';
import { elsewhere, fieldProblems, fieldsFilled } from './field-problems.js';
import { fieldDefinitionsOf } from './field.schemas.js';
import { readFunnelFile, type FunnelFile } from './funnel-file.js';
import { FunnelConflicts } from './funnel-conflicts.service.js';
import { FunnelSourcesService } from './funnel-sources.service.js';
import type { FunnelTemplates } from './funnel-templates.js';
import { funnelSchema, type FunnelDefinition } from './funnel.schemas.js';
import { lintDefinition, outlineOf } from './lint/lint.js';
import type { SequenceOutline } from './lint/loop-rules.js';
import { byLine, findingOf, type DefinitionProblem, type Finding } from './lint/rules.js';
import { located } from './yaml-file.js';

export interface LintedFunnel {
  /** Null when it is no funnel at all. */
  definition: FunnelDefinition | null;
  /** As they were looked at; none where they were not asked for. */
  templates: FunnelTemplates;
  findings: Finding[];
}

/** One funnel of a file; `folder` is where the file lies. */
export interface FileText {
  name: string;
  text: string;
  /** Lines of the file that stand before it. */
  before: number;
  folder: string | null;
}

const NO_TEMPLATES: FunnelTemplates = { texts: {}, hashes: {} };

/** Looks a funnel through, with the templates and files it names and the other funnels that are there. */
@Injectable()
export class FunnelLintService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly sources: FunnelSourcesService,
    private readonly conflicts: FunnelConflicts,
    private readonly affiliates: AffiliatesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Each as `check`; what one of them names in another is there. */
  async checkAll(files: readonly FileText[]): Promise<(LintedFunnel & { name: string })[]> {
    const linted: (LintedFunnel & { name: string })[] = [];
    const read = files.map(({ text, before }) => readFunnelFile(text, before));
    for (const [place, { name, folder }] of files.entries()) {
      const along = read.flatMap((other, nth) => (other.ok && nth !== place ? [other.definition] : []));
      const file = read[place];
      if (file !== undefined) linted.push({ name, ...(await this.checkRead(file, folder, along)) });
    }
    return linted;
  }

  /**
   * @param folder where `files/…` are looked up; `null` leaves them out.
   * @param along funnels that are applied with this one.
   * @param kept texts of mails and pages, used where the file brings none of its own.
   */
  async check(
    text: string,
    folder: string | null,
    along: readonly FunnelDefinition[] = [],
    kept: Texts = {},
  ): Promise<LintedFunnel> {
    return this.checkRead(readFunnelFile(text), folder, along, kept);
  }

  private async checkRead(
    file: FunnelFile,
    folder: string | null,
    along: readonly FunnelDefinition[],
    kept: Texts = {},
  ): Promise<LintedFunnel> {
    if (!file.ok) return { definition: null, templates: NO_TEMPLATES, findings: file.problems };
    const sources = await this.sources.read(file.definition, folder, kept);
    const problems = [
      ...namesTaken(file.definition, along),
      ...(await this.problems(file.definition, along)),
      ...sources.problems,
    ];
    const { templates } = sources;
    return { definition: file.definition, templates, findings: located(file, problems).toSorted(byLine) };
  }

  /** A definition of then may use what is not allowed any more, or names that another funnel has taken since. */
  async checkStored(
    stored: FunnelDefinition,
    { withTemplates }: { withTemplates: boolean },
  ): Promise<LintedFunnel> {
    const read = funnelSchema.safeParse(stored);
    const problems: DefinitionProblem[] = read.success
      ? (await this.problems(read.data)).map(elsewhere)
      : read.error.issues.map(({ path, message }) => ({ rule: 'wrong-value', path, message }));
    const sources = read.success && withTemplates ? await this.sources.read(read.data, null) : null;
    const findings = [...problems, ...(sources?.problems ?? [])].map((problem) => findingOf(problem, null));
    return {
      definition: read.success ? read.data : null,
      templates: sources?.templates ?? NO_TEMPLATES,
      findings,
    };
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
      ...fieldProblems(definition, {
        definitions: await this.fieldsKnown(along),
        filled: [...stored.flatMap(fieldsSetBy), ...along.flatMap(fieldsFilled)],
      }),
      ...(await this.conflicts.between(manager, definition, along)),
      ...(await this.affiliateProblems(definition)),
    ];
  }

  private async fieldsKnown(along: readonly FunnelDefinition[]): Promise<Map<string, FieldDefinition>> {
    const stored = await fieldDefinitions(this.dataSource.manager);
    const others = along.flatMap(({ fields }) => fieldDefinitionsOf(fields));
    return new Map([...others.map((field) => [field.key, field] as const), ...stored]);
  }

  private async affiliateProblems(definition: FunnelDefinition): Promise<DefinitionProblem[]> {
    const asked = affiliatesAsked(definition);
    if (asked.length === 0) return [];
    const known = await this.affiliates.known(asked.map(({ code }) => code));
    const some = await this.affiliates.list({ beforeId: undefined, limit: 1 });
    return affiliateProblems(asked, { known, isAnyThere: some.length > 0 });
  }
}

/** The fields that steps of a sequence fill. */
function fieldsSetBy({ definition }: SequenceOutline): string[] {
  return definition.nodes.flatMap((node) => (node.kind === 'set' ? Object.keys(node.fields) : []));
}
