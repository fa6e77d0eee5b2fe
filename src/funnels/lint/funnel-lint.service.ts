import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import type { Texts } from '../../values/template-texts.js';
import { AffiliatesService } from '../../affiliates/affiliates.service.js';
import { affiliateProblems, affiliatesAsked } from './affiliate-problems.js';
import { namesTaken } from './between-funnels.js';
import { fieldDefinitions, listKeys } from '../../subscribers/subscribers.queries.js';
import type { FieldDefinition } from '../../subscribers/field.js';
import { DeliveredFiles } from '../files/delivered-files.service.js';
import { elsewhere, ownFieldProblems, fieldsFilled } from './own-field-problems.js';
import { fieldDefinitionsOf } from '../schemas/field.schemas.js';
import { readFunnelFile, type FunnelFile } from '../yaml/funnel-file.js';
import { FunnelConflicts } from '../changes/funnel-conflicts.service.js';
import type { FunnelParts } from '../publish/funnel-publisher.service.js';
import { FunnelMails, type TimeToTry } from '../templates/funnel-mails.service.js';
import { FunnelSourcesService } from '../templates/funnel-sources.service.js';
import { listProblems } from './list-problems.js';
import type { FunnelTemplates } from '../templates/funnel-templates.js';
import { funnelSchema, type FunnelDefinition } from '../schemas/funnel.schemas.js';
import { lintDefinition, outlineOf } from './lint.js';
import type { SequenceOutline } from './loop-rules.js';
import { byLine, findingOf, RULES, type DefinitionProblem, type Finding } from './rules.js';
import { located } from '../yaml/yaml-file.js';

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
  /** Of mails and pages, used where the file brings none of its own. */
  kept?: Texts | undefined;
  /** Where there is no folder, ids of stored files by the names that it gives them. */
  given?: Readonly<Record<string, string>> | undefined;
  /** Where there is no folder: one that has what nobody has stored. */
  spare?: string | undefined;
}

const NO_TEMPLATES: FunnelTemplates = { texts: {}, hashes: {} };

/**
 * Looks a funnel through, with the templates and files it names and the other funnels that are there: as `manager` sees them,
 * so that within the transaction of a change nothing comes between what was looked at and what is written.
 */
@Injectable()
export class FunnelLintService {
  constructor(
    private readonly sources: FunnelSourcesService,
    private readonly files: DeliveredFiles,
    private readonly conflicts: FunnelConflicts,
    private readonly affiliates: AffiliatesService,
    private readonly mails: FunnelMails,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Each as `check`; what one of them names in another is there. `time`: how long mails are tried with what readers have.
   */
  async checkAll(
    manager: EntityManager,
    files: readonly FileText[],
    time: TimeToTry = { leftMs: this.mails.triedForMs },
  ): Promise<(LintedFunnel & { name: string })[]> {
    const linted: (LintedFunnel & { name: string })[] = [];
    const read = files.map(({ text, before }) => readFunnelFile(text, before));
    for (const [place, { name, ...from }] of files.entries()) {
      const along = read.flatMap((other, nth) => (other.ok && nth !== place ? [other.definition] : []));
      const file = read[place];
      if (file !== undefined)
        linted.push({ name, ...(await this.checkRead(manager, file, { ...from, along, time })) });
    }
    return linted;
  }

  /**
   * @param folder where `files/…` are looked up; `null` leaves them out.
   * @param kept texts of mails and pages, used where the file brings none of its own.
   */
  async check(
    manager: EntityManager,
    text: string,
    folder: string | null,
    kept: Texts = {},
  ): Promise<LintedFunnel> {
    const time = { leftMs: this.mails.triedForMs };
    return this.checkRead(manager, readFunnelFile(text), { folder, along: [], kept, time });
  }

  /** `along`: funnels that are applied with this one. */
  private async checkRead(
    manager: EntityManager,
    file: FunnelFile,
    {
      folder,
      along,
      kept = {},
      given,
      spare,
      time,
    }: Pick<FileText, 'folder' | 'kept' | 'given' | 'spare'> & {
      along: readonly FunnelDefinition[];
      time: TimeToTry;
    },
  ): Promise<LintedFunnel> {
    if (!file.ok) return { definition: null, templates: NO_TEMPLATES, findings: file.problems };
    const sources = await this.sources.read(file.definition, folder, kept);
    const problems = [
      ...namesTaken(file.definition, along),
      ...(await this.problems(manager, file.definition, along)),
      ...sources.problems,
      ...(folder === null ? await this.files.missing(manager, file.definition, { given, spare }) : []),
    ];
    const { templates } = sources;
    // Of mails that can be made at all.
    if (!problems.some(({ rule }) => RULES[rule].severity === 'error'))
      problems.push(...(await this.mails.brokenForReaders(manager, file.definition, templates, time)));
    return { definition: file.definition, templates, findings: located(file, problems).toSorted(byLine) };
  }

  /**
   * A definition of then may use what is not allowed any more, or names that another funnel has taken since. `parts`: the
   * stored ones it was made of; null for a version of before these were kept, which takes those of now.
   */
  async checkStored(
    manager: EntityManager,
    stored: FunnelDefinition,
    parts: FunnelParts | null,
  ): Promise<LintedFunnel> {
    const read = funnelSchema.safeParse(stored);
    if (!read.success) {
      const findings = read.error.issues.map(({ path, message }) =>
        findingOf({ rule: 'wrong-value', path, message }, null),
      );
      return { definition: null, templates: NO_TEMPLATES, findings };
    }
    const definition = read.data;
    const sources = parts === null ? await this.sources.read(definition, null) : null;
    const problems = [
      ...(await this.problems(manager, definition, [], { isStored: true })).map(elsewhere),
      ...(sources?.problems ?? []),
      ...(parts === null
        ? await this.files.missing(manager, definition)
        : await this.files.lost(manager, definition, parts.files)),
      ...(parts === null ? [] : await this.mails.hiddenDuties(definition, parts.mails)),
    ];
    const findings = problems.map((problem) => findingOf(problem, null));
    return { definition, templates: sources?.templates ?? NO_TEMPLATES, findings };
  }

  private async problems(
    manager: EntityManager,
    definition: FunnelDefinition,
    along: readonly FunnelDefinition[] = [],
    { isStored = false } = {},
  ): Promise<DefinitionProblem[]> {
    const keys = along.map(({ funnel }) => funnel);
    const stored: SequenceOutline[] = await manager.query(
      `select q.key, v.definition from sequence q join sequence_version v on v.id = q.current_version_id where q.key <> all ($1)`,
      [[definition.funnel, ...keys]],
    );
    const others = [...stored, ...along.map(outlineOf)];
    return [
      ...lintDefinition(definition, { now: this.clock.now(), others }),
      ...ownFieldProblems(definition, {
        definitions: await this.fieldsKnown(manager, along),
        isStored,
        filled: [...stored.flatMap(fieldsSetBy), ...along.flatMap(fieldsFilled)],
      }),
      ...(await this.conflicts.between(manager, definition, along)),
      // What was applied once can be brought back.
      ...(isStored ? [] : await this.conflicts.labels(manager, definition, along)),
      ...listProblems(definition, await listKeys(manager)),
      ...(await this.affiliateProblems(manager, definition)),
    ];
  }

  private async fieldsKnown(
    manager: EntityManager,
    along: readonly FunnelDefinition[],
  ): Promise<Map<string, FieldDefinition>> {
    const stored = await fieldDefinitions(manager);
    const others = along.flatMap(({ fields }) => fieldDefinitionsOf(fields));
    return new Map([...others.map((field) => [field.key, field] as const), ...stored]);
  }

  private async affiliateProblems(
    manager: EntityManager,
    definition: FunnelDefinition,
  ): Promise<DefinitionProblem[]> {
    const asked = affiliatesAsked(definition);
    if (asked.length === 0) return [];
    const known = await this.affiliates.known(
      asked.map(({ code }) => code),
      manager,
    );
    const some = await this.affiliates.list({ beforeId: undefined, limit: 1 }, manager);
    return affiliateProblems(asked, { known, isAnyThere: some.length > 0 });
  }
}

/** The fields that steps of a sequence fill. */
function fieldsSetBy({ definition }: SequenceOutline): string[] {
  return definition.nodes.flatMap((node) => (node.kind === 'set' ? Object.keys(node.fields) : []));
}
