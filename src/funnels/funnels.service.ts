import { dirname } from 'node:path';
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { DomainError } from '../values/domain-error.js';
import {
  FunnelChanges,
  type ChangeOptions,
  type PlannedFunnel,
  type WantedFunnel,
} from './funnel-changes.service.js';
import { changeText, funnelDiff, type Sources } from './funnel-diff.js';
import { writeFunnelFile } from './funnel-file.js';
import { FunnelPublisher } from './funnel-publisher.service.js';
import { documentsOf } from './funnel-documents.js';
import { readFunnelText } from './funnel-text.files.js';
import { FunnelLintService, type LintedFunnel } from './funnel-lint.service.js';
import { FunnelSourcesService } from './funnel-sources.service.js';
import { funnelNotFound, FunnelStore, type FunnelRow, type FunnelVersion } from './funnel-store.service.js';
import type { FunnelDefinition } from './funnel.schemas.js';
import { findingText, type Finding } from './lint/rules.js';
import { joinPlanTokens } from './plan-token.js';

/** With what the linter says of it. */
export type FunnelPlan = PlannedFunnel & { warnings: Finding[] };

export interface FileOptions extends ChangeOptions {
  /** Of the funnel that the file must be of. */
  key?: string | undefined;
}

export interface FunnelHistoryEntry {
  version: number;
  appliedAt: Date;
  restored: number | null;
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
    private readonly sources: FunnelSourcesService,
    private readonly publisher: FunnelPublisher,
    private readonly store: FunnelStore,
    private readonly changes: FunnelChanges,
    private readonly linter: FunnelLintService,
  ) {}

  /** The file may hold several funnels, as an export of all does: they are planned, and applied, together. */
  async planFile(path: string, options?: ChangeOptions): Promise<FunnelPlan> {
    const { wanted, warnings } = await this.wantedIn(path);
    return together(await this.changes.plan(wanted, options), warnings);
  }

  /** As `planFile`; all of them or none. */
  async applyFile(path: string, options?: ChangeOptions): Promise<FunnelPlan> {
    const { wanted, warnings } = await this.wantedIn(path);
    return together(await this.changes.apply(wanted, options), warnings);
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
    const { definition, warnings } = await this.check(text, folder, name, options.key);
    return together(await this.changes.plan([this.wanted(definition, folder)], options), warnings);
  }

  /** As `plan`. */
  async apply(
    text: string,
    folder: string | null,
    name: string,
    options: FileOptions = {},
  ): Promise<FunnelPlan> {
    const { definition, warnings } = await this.check(text, folder, name, options.key);
    return together(await this.changes.apply([this.wanted(definition, folder)], options), warnings);
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
    const { manager } = this.dataSource;
    const stored = await this.store.find(manager, key);
    if (!stored) throw funnelNotFound(key);
    const version = await this.store.version(manager, stored, to ?? stored.version - 1);
    const {
      definitions: [definition],
      warnings,
    } = checked(`${key} version ${version.version}`, [
      await this.linter.checkStored(version.state.definition),
    ]);
    const { parts } = version;
    const now = this.wanted(definition, null);
    const wanted: WantedFunnel = {
      ...now,
      ...(parts === null
        ? {}
        : {
            stateOver: async () => Promise.resolve({ definition, sources: version.state.sources }),
            parts: async () => Promise.resolve(parts),
            mails: async () => Promise.resolve(parts.mails),
          }),
      restored: version.version,
    };
    const plans = dryRun
      ? await this.changes.plan([wanted], options)
      : await this.changes.apply([wanted], options);
    const plan = together(plans, warnings);
    const { sources: today } = parts === null ? await now.stateOver(stored) : version.state;
    const words =
      parts === null ? [withoutParts(version, changedSince(version, today)), ...plan.words] : plan.words;
    return { ...plan, words, to: version.version };
  }

  /** Versions before `before`, newest first, with what each changed. Throws `FUNNEL_NOT_FOUND`. */
  async history(
    key: string,
    { before, limit }: { before?: number | undefined; limit: number },
  ): Promise<FunnelHistoryEntry[]> {
    const versions = await this.store.versions(key, { before, limit: limit + 1 });
    return versions.slice(0, limit).map(({ version, appliedAt, restored, state }, index) => {
      const earlier = versions[index + 1]?.state ?? null;
      return { version, appliedAt, restored, changes: funnelDiff(earlier, state).map(changeText) };
    });
  }

  /** Looks a file through without a plan; findings of both severities, none thrown. */
  async lint(text: string, folder: string | null): Promise<Finding[]> {
    return (await this.linter.check(text, folder)).findings;
  }

  /** The funnel file of one funnel, or of all, in the order of their keys. */
  async export(key?: string): Promise<string> {
    const rows = await this.store.list();
    const wanted = rows.filter((row) => key === undefined || row.key === key);
    if (key !== undefined && wanted.length === 0) throw funnelNotFound(key);
    return wanted.map(({ definition }) => writeFunnelFile(definition)).join('---\n');
  }

  async list(): Promise<FunnelRow[]> {
    return this.store.list();
  }

  async page(page: Parameters<FunnelStore['page']>[0]): ReturnType<FunnelStore['page']> {
    return this.store.page(page);
  }

  async get(key: string): Promise<FunnelRow> {
    const funnel = (await this.store.list()).find((row) => row.key === key);
    if (!funnel) throw funnelNotFound(key);
    return funnel;
  }

  /** As the definition says, with mails from the disk and files from the folder. */
  private wanted(definition: FunnelDefinition, folder: string | null): WantedFunnel {
    return {
      definition,
      stateOver: async (stored) => ({
        definition,
        sources: await this.sources.hashes(definition, folder, stored?.state.sources ?? {}),
      }),
      parts: async (manager, stored) => {
        const present = stored && (await this.store.version(manager, stored, stored.version)).parts;
        return this.publisher.parts(manager, definition, { folder, present: present?.files ?? {} });
      },
      mails: async (manager) => this.publisher.publishMails(manager, definition),
      restored: null,
    };
  }

  private async wantedIn(path: string): Promise<{ wanted: WantedFunnel[]; warnings: Finding[] }> {
    const folder = dirname(path);
    const texts = documentsOf(await readFunnelText(path));
    const { definitions, warnings } = checked(path, await this.linter.checkAll(texts, folder));
    return { wanted: definitions.map((one) => this.wanted(one, folder)), warnings };
  }

  private async check(
    text: string,
    folder: string | null,
    name: string,
    key: string | undefined,
  ): Promise<{ definition: FunnelDefinition; warnings: Finding[] }> {
    const {
      definitions: [definition],
      warnings,
    } = checked(name, [await this.linter.check(text, folder)]);
    const { funnel } = definition;
    if (key === undefined || funnel === key) return { definition, warnings };
    const message = `${name}: funnel is "${funnel}", the address says "${key}"`;
    throw new DomainError('FUNNEL_KEY_INVALID', message, { key });
  }
}

interface Checked {
  definitions: [FunnelDefinition, ...FunnelDefinition[]];
  warnings: Finding[];
}

/** Throws `FUNNEL_INVALID` over errors; warnings go along. */
function checked(name: string, linted: readonly LintedFunnel[]): Checked {
  const findings = linted.flatMap((one) => one.findings);
  const errors = findings.filter(({ severity }) => severity === 'error');
  const warnings = findings.filter(({ severity }) => severity === 'warning');
  const [first, ...others] = linted.flatMap(({ definition }) => (definition === null ? [] : [definition]));
  if (first !== undefined && errors.length === 0) return { definitions: [first, ...others], warnings };
  const lines = errors.map((finding) => findingText(name, finding));
  throw new DomainError('FUNNEL_INVALID', lines.join('\n'), { file: name, problems: errors });
}

/** Of several funnels, the words say which of them they are about. */
function together(plans: readonly PlannedFunnel[], warnings: Finding[]): FunnelPlan {
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

function withoutParts({ version }: FunnelVersion, changed: readonly string[]): string {
  const then = `Version ${version} was applied before mails and files were kept with a version`;
  if (changed.length === 0) return `${then}: those of today are used, and are what they were`;
  return `${then}: those of today are used, and these are not what they were: ${changed.join(', ')}`;
}
