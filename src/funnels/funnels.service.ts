import { dirname } from 'node:path';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { changedMeanwhile, type Unchanged } from '../infra/http/etag.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import {
  FunnelChanges,
  type ChangeOptions,
  type Planned,
  type PlannedFunnel,
  type Reading,
  type WantedFunnel,
} from './changes/funnel-changes.service.js';
import { changeText, funnelDiff, hasObject, type Sources } from './changes/funnel-diff.js';
import { writeFunnelFile } from './yaml/funnel-file.js';
import type { FunnelTemplates } from './templates/funnel-templates.js';
import { mailHashesOfBefore } from './templates/mail-hashes-of-before.files.js';
import { WantedFunnels } from './changes/wanted-funnels.service.js';
import type { Texts } from '../values/template-texts.js';
import { checkNumber, documentsOf } from './yaml/funnel-documents.js';
import { readFunnelText } from './yaml/funnel-text.files.js';
import { fieldDefinitions } from '../subscribers/subscribers.queries.js';
import { withFields } from './export/exported-fields.js';
import { FunnelLintService, type FileText, type LintedFunnel } from './lint/funnel-lint.service.js';
import {
  FunnelStore,
  type FunnelRow,
  type FunnelVersion,
  type StoredFunnel,
} from './funnel-store.service.js';
import type { FunnelDefinition } from './schemas/funnel.schemas.js';
import { filesOf } from './files/delivered.files.js';
import { among, findingText, type Finding } from './lint/rules.js';
import { joinPlanTokens } from './changes/plan-token.js';

/** With what the linter says of it. */
export type FunnelPlan = PlannedFunnel & { warnings: Finding[] };

export interface FileOptions extends ChangeOptions {
  /** Of the funnel that the file must be of. */
  key?: string | undefined;
  /** Of mails and pages, where the file brings none of its own: they go before those of the folder `templates`. */
  texts?: Texts | undefined;
  /** Ids of stored files by the names that the file gives them, where it comes without its folder. */
  files?: Readonly<Record<string, string>> | undefined;
  /** Of the funnel `key` as it stands behind the lock. Throws `PRECONDITION_FAILED`. */
  unchanged?: Unchanged<FunnelRow> | undefined;
  /** A folder that has the files which nobody has stored, where the file comes without its own. */
  spare?: string | undefined;
}

interface FunnelHistoryEntry {
  version: number;
  appliedAt: Date;
  restored: number | null;
  appliedBy: string | null;
  /** What it changed, as sentences. */
  changes: string[];
}

/**
 * The only way configuration comes in: a funnel is read, checked as a whole, compared with what is there, and applied
 * in one transaction or not at all. Throws `FUNNEL_INVALID` with every problem, its line and its field.
 */
@Injectable()
export class FunnelsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly store: FunnelStore,
    private readonly changes: FunnelChanges,
    private readonly linter: FunnelLintService,
    private readonly wanted: WantedFunnels,
  ) {}

  /** A file may hold several funnels, as an export of all does: all of all files are planned, and applied, together. */
  async planFile(path: string | readonly string[], options?: ChangeOptions): Promise<FunnelPlan> {
    return together(await this.changes.plan(this.readingFiles(await filesAt([path].flat())), options));
  }

  /** As `planFile`; all of them or none. */
  async applyFile(path: string | readonly string[], options?: ChangeOptions): Promise<FunnelPlan> {
    return together(await this.changes.apply(this.readingFiles(await filesAt([path].flat())), options));
  }

  /** As `planFile`, of funnels that come as one text, without a folder. */
  async planText(text: string, { files, ...options }: FileOptions = {}): Promise<FunnelPlan> {
    return together(await this.changes.plan(this.readingFiles(funnelsIn(text, files)), options));
  }

  /** As `planText`; all of them or none. */
  async applyText(text: string, { files, ...options }: FileOptions = {}): Promise<FunnelPlan> {
    return together(await this.changes.apply(this.readingFiles(funnelsIn(text, files)), options));
  }

  /**
   * @param folder where `files/…` are looked up; `null` keeps the files that an earlier apply stored.
   * Throws `FUNNEL_KEY_INVALID` for another funnel than that of `options.key`.
   */
  async plan(
    text: string,
    folder: string | null,
    name: string,
    options: FileOptions = {},
  ): Promise<FunnelPlan> {
    return together(await this.changes.plan(this.reading(text, folder, name, options), options));
  }

  /** As `plan`. */
  async apply(
    text: string,
    folder: string | null,
    name: string,
    options: FileOptions = {},
  ): Promise<FunnelPlan> {
    return together(await this.changes.apply(this.reading(text, folder, name, options), options));
  }

  /**
   * Brings back an earlier version, by default the one before the present; it becomes a new version, so a rollback can be
   * rolled back. Mails and files are those of then, whatever stands on the disk now; a version that was applied before they
   * were kept has those of today, and the words of the plan say which of them are not what they were. Throws `FUNNEL_NOT_FOUND`,
   * `FUNNEL_VERSION_NOT_FOUND` and `FUNNEL_INVALID`.
   */
  async rollback(
    key: string,
    { to, dryRun, ...options }: { to?: number | undefined; dryRun: boolean } & ChangeOptions,
  ): Promise<FunnelPlan & { to: number }> {
    let [back, before]: [number, string[]] = [0, []];
    const read: Reading = async (manager) => {
      const stored = await this.store.find(manager, key);
      if (!stored) throw notFound('funnel', key, 'key');
      const version = await this.store.version(manager, stored, to ?? stored.version - 1);
      await this.checkMoved(manager, stored, version);
      const { wanted, warnings, words } = await this.wantedVersion(manager, key, version);
      [back, before] = [version.version, words];
      return { funnels: [wanted], warnings };
    };
    const planned = dryRun ? await this.changes.plan(read, options) : await this.changes.apply(read, options);
    const plan = together(planned);
    return { ...plan, words: [...before, ...plan.words], to: back };
  }

  /** Versions before `before`, newest first, with what each changed. Throws `FUNNEL_NOT_FOUND`. */
  async history(
    key: string,
    { before, limit }: { before?: number | undefined; limit: number },
  ): Promise<FunnelHistoryEntry[]> {
    const versions = await this.store.versions(key, { before, limit: limit + 1 });
    return versions.slice(0, limit).map(({ version, appliedAt, restored, appliedBy, state }, index) => {
      const earlier = versions[index + 1]?.state ?? null;
      return { version, appliedAt, restored, appliedBy, changes: funnelDiff(earlier, state).map(changeText) };
    });
  }

  /** Looks a file through without a plan; findings of both severities, none thrown. */
  async lint(text: string, folder: string | null, texts?: Texts): Promise<Finding[]> {
    return (await this.linter.check(this.dataSource.manager, text, folder, texts)).findings;
  }

  /**
   * The funnel file of one funnel, or of all that are not archived, in the order of their keys. `withTexts`: with those of its mails and pages,
   * so that it says all that is there; without them an apply takes those of the folder `templates`.
   */
  async export(key?: string, { withTexts = true }: { withTexts?: boolean } = {}): Promise<string> {
    const rows = await this.store.list();
    const wanted = rows.filter((row) => (key === undefined ? row.archivedAt === null : row.key === key));
    if (key !== undefined && wanted.length === 0) throw notFound('funnel', key, 'key');
    const defined = await fieldDefinitions(this.dataSource.manager);
    const texts = withTexts ? await this.store.keptTexts(key) : new Map<string, Texts>();
    return wanted
      .map(({ key: own, definition }) => writeFunnelFile(withFields(definition, defined), texts.get(own)))
      .join('---\n');
  }

  /** Of the mails and pages of a funnel; undefined where a funnel of before they were kept has none. */
  async keptTexts(key: string): Promise<Texts | undefined> {
    return (await this.store.keptTexts(key)).get(key);
  }

  async list(): Promise<FunnelRow[]> {
    return this.store.list();
  }

  async page(page: Parameters<FunnelStore['page']>[0]): ReturnType<FunnelStore['page']> {
    return this.store.page(page);
  }

  async get(key: string): Promise<FunnelRow> {
    const funnel = await this.store.row(key);
    if (!funnel) throw notFound('funnel', key, 'key');
    return funnel;
  }

  private readingFiles(files: readonly FileText[], key?: string): Reading {
    return async (manager) => {
      const { funnels, warnings } = checked(await this.linter.checkAll(manager, files));
      const [{ definition: first }] = funnels;
      if (key !== undefined && first.funnel !== key) {
        const message = `${files[0]?.name}: funnel is "${first.funnel}", the address says "${key}"`;
        throw new DomainError('FUNNEL_KEY_INVALID', message, { key });
      }
      checkGiven(files, funnels);
      const wanted = funnels
        .map(({ definition, templates }, place) =>
          this.wanted.ofFile(definition, templates, files[place] ?? { folder: null }),
        )
        // So that a plan stands for the same whatever the order of the files.
        .toSorted((a, b) => (a.definition.funnel < b.definition.funnel ? -1 : 1));
      return { funnels: wanted, warnings };
    };
  }

  private reading(
    text: string,
    folder: string | null,
    name: string,
    { key, texts: kept, files: given, spare, unchanged }: FileOptions,
  ): Reading {
    const read = this.readingFiles([{ name, text, before: 0, folder, kept, given, spare }], key);
    if (unchanged === undefined || key === undefined) return read;
    return async (manager) => {
      const row = await this.store.row(key, manager);
      if (row === undefined) throw changedMeanwhile();
      unchanged(row);
      return read(manager);
    };
  }

  /**
   * What came from another funnel meanwhile would be in neither of them. Throws `FUNNEL_ROLLBACK_CONFLICT`.
   */
  private async checkMoved(
    manager: EntityManager,
    stored: StoredFunnel,
    { version, state }: FunnelVersion,
  ): Promise<void> {
    const came = await this.store.cameSince(manager, stored, version);
    const lost = came.filter(
      ({ object }) => hasObject(stored.state.definition, object) && !hasObject(state.definition, object),
    );
    const [first] = lost;
    if (first === undefined) return;
    const objects = [...new Set(lost.map(({ object }) => object))].join(', ');
    const message = `${objects} came from the funnel "${first.from}" with version ${first.version}, and would be in no funnel; apply the files of both as they shall be, in one command, and it moves back`;
    throw new DomainError('FUNNEL_ROLLBACK_CONFLICT', message, first);
  }

  /** Throws `FUNNEL_INVALID` over a version that may not be any more, or whose templates are not there. */
  private async wantedVersion(
    manager: EntityManager,
    key: string,
    found: FunnelVersion,
  ): Promise<{ wanted: WantedFunnel; warnings: Finding[]; words: string[] }> {
    const { version, state, parts } = found;
    const name = `${key} version ${version}`;
    const linted = await this.linter.checkStored(manager, state.definition, parts);
    const {
      funnels: [{ definition, templates }],
      warnings,
    } = checked([{ name, ...linted }]);
    if (parts !== null) {
      const words =
        parts.texts === undefined ? [`${before(found, 'pages')}: its pages are those of now`] : [];
      return { wanted: this.wanted.ofVersion(definition, { ...found, parts }), warnings, words };
    }
    const today = { ...state.sources, ...(await mailHashesOfBefore(definition, templates.texts)) };
    const wanted = { ...this.wanted.ofFile(definition, templates, { folder: null }), restored: version };
    return { wanted, warnings, words: [withoutParts(found, changedSince(found, today))] };
  }
}

/** Read before anything waits for anything; what they say is judged later. */
async function filesAt(paths: readonly string[]): Promise<FileText[]> {
  const files: FileText[] = [];
  for (const path of paths)
    for (const document of documentsOf(await readFunnelText(path)))
      files.push({ name: path, ...document, folder: dirname(path) });
  checkNumber(files);
  return files;
}

function funnelsIn(text: string, given: FileOptions['files']): FileText[] {
  const files = documentsOf(text).map((document) => ({ name: 'yaml', ...document, folder: null, given }));
  checkNumber(files);
  return files;
}

/** A file that none of the funnels names would be sent in vain, mostly for a name with a mistake in it. */
function checkGiven(files: readonly FileText[], funnels: readonly ReadFunnel[]): void {
  const named = new Set(funnels.flatMap(({ definition }) => filesOf(definition)).map(({ name }) => name));
  const name = files.flatMap(({ given = {} }) => Object.keys(given)).find((one) => !named.has(one));
  if (name === undefined) return;
  const message = `files.${name}: no funnel here names this file${among([...named])}`;
  throw new DomainError('FUNNEL_FILE_INVALID', message, { name });
}

interface ReadFunnel {
  definition: FunnelDefinition;
  templates: FunnelTemplates;
}

interface Checked {
  funnels: [ReadFunnel, ...ReadFunnel[]];
  warnings: Finding[];
}

/** Throws `FUNNEL_INVALID` over errors; warnings go along. */
function checked(linted: readonly (LintedFunnel & { name: string })[]): Checked {
  const found = linted.flatMap(({ name, findings }) => findings.map((finding) => ({ name, finding })));
  const errors = found.filter(({ finding }) => finding.severity === 'error');
  const warnings = found.flatMap(({ finding }) => (finding.severity === 'warning' ? [finding] : []));
  const [first, ...others] = linted.flatMap(({ definition, templates }) =>
    definition === null ? [] : [{ definition, templates }],
  );
  if (first !== undefined && errors.length === 0) return { funnels: [first, ...others], warnings };
  const lines = errors.map(({ name, finding }) => findingText(name, finding));
  const problems = errors.map(({ finding }) => finding);
  throw new DomainError('FUNNEL_INVALID', lines.join('\n'), { file: errors[0]?.name ?? '', problems });
}

/** Of several funnels, the words say which of them they are about. */
function together({ plans, warnings }: Planned): FunnelPlan {
  const [only, ...others] = plans;
  if (only !== undefined && others.length === 0) return { ...only, warnings };
  return {
    funnel: plans.map(({ funnel }) => funnel).join(', '),
    changes: plans.flatMap(({ changes }) => changes),
    people: plans.flatMap(({ people }) => people),
    words: plans.flatMap(({ funnel, words }) => (words.length === 0 ? [] : [`funnel ${funnel}:`, ...words])),
    token: joinPlanTokens(plans.map(({ token }) => token)),
    warnings,
  };
}

/** Of what the version is made of, what is not the same today. */
function changedSince({ state }: FunnelVersion, today: Sources): string[] {
  return Object.keys(state.sources).filter((name) => state.sources[name] !== today[name]);
}

function before({ version }: FunnelVersion, what: string): string {
  return `Version ${version} was applied before ${what} were kept with a version`;
}

function withoutParts(version: FunnelVersion, changed: readonly string[]): string {
  const then = before(version, 'mails and files');
  if (changed.length === 0) return `${then}: those of today are used, and are what they were`;
  return `${then}: those of today are used, and these are not what they were: ${changed.join(', ')}`;
}
