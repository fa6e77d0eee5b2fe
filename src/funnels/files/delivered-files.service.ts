import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { FilesService, type StoredFile } from '../../infra/files/files.service.js';
import { fileBeside, fileHash, filesOf, pathBeside } from './delivered.files.js';
import type { Sources } from '../changes/funnel-diff.js';
import { FunnelStore, type StoredFunnel } from '../funnel-store.service.js';
import type { NamedTemplate } from '../templates/funnel-templates.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from '../lint/rules.js';
import { notFound } from '../../values/not-found.js';

type Ids = Readonly<Record<string, string>>;

/** The files that a funnel names: what they hold, and which stored files they are. */
export interface FoundFiles {
  /** SHA-256 of each, by its name. */
  hashes: Sources;
  /** By name. Of a plan, those that stand in the folder and are not stored yet have none. */
  ids: Ids;
}

/** Where the files come from that a funnel file names. */
export interface FilesFrom {
  folder: string | null;
  given?: Ids | undefined;
  /** Where there is no folder: one that has what nobody has stored. A stored file of the name goes before its own. */
  spare?: string | undefined;
}

/** What a funnel promises and sells, from the folder of its file or from what is stored. */
@Injectable()
export class DeliveredFiles {
  constructor(
    private readonly files: FilesService,
    private readonly store: FunnelStore,
  ) {}

  /**
   * `folder`: that of the funnel file; null when it came without one, and then it keeps the files of the funnel as it is,
   * whatever else has such a name, but for those that are `given`: ids of stored files by name. `isKept`: what is new, or has been lost, is stored; its hash is that of the bytes that were
   * stored, though the file is written over meanwhile.
   */
  async find(
    manager: EntityManager,
    definition: FunnelDefinition,
    {
      folder,
      given = {},
      spare,
      stored,
      isKept,
    }: FilesFrom & { stored: StoredFunnel | null; isKept: boolean },
  ): Promise<FoundFiles> {
    const present = await this.idsOf(manager, stored);
    const known = stored?.state.sources ?? {};
    const hashes: Record<string, string> = {};
    const ids: Record<string, string> = {};
    for (const { name } of filesOf(definition)) {
      const id = present[name] ?? null;
      const sent = given[name];
      const path =
        folder === null
          ? await this.spareOf(manager, name, { spare, id: sent ?? id })
          : await pathBeside(folder, name);
      if (path === null) {
        const file = await this.files.get(
          manager,
          sent ?? id ?? (await this.files.idByName(manager, baseOf(name))),
        );
        [ids[name], hashes[name]] = [
          file.id,
          sent === undefined ? (known[name] ?? file.sha256) : file.sha256,
        ];
        continue;
      }
      const hash = await fileHash(path);
      if (id !== null && hash === known[name] && (!isKept || (await this.files.isThere(manager, id))))
        [ids[name], hashes[name]] = [id, hash];
      else if (isKept) {
        const file = await this.files.store(manager, { absolutePath: path, fileName: baseOf(name) });
        [ids[name], hashes[name]] = [file.id, file.sha256];
      } else hashes[name] = hash;
    }
    return { hashes, ids };
  }

  /** Of a funnel that comes without its folder: files that nobody has stored, or whose bytes are gone. */
  async missing(
    manager: EntityManager,
    definition: FunnelDefinition,
    { given = {}, spare }: Pick<FilesFrom, 'given' | 'spare'> = {},
  ): Promise<DefinitionProblem[]> {
    const stored = await this.store.find(manager, definition.funnel);
    const present = await this.idsOf(manager, stored);
    const problems: DefinitionProblem[] = [];
    for (const file of filesOf(definition)) {
      const sent = given[file.name];
      const own = sent ?? present[file.name] ?? null;
      if ((await this.spareOf(manager, file.name, { spare, id: own })) !== null) continue;
      const id = own ?? (await this.files.newestOf(manager, baseOf(file.name)));
      if (sent !== undefined && (await this.files.find([sent], manager)).length === 0)
        problems.push({ ...lostFile(file), message: `there is no stored file ${sent} for ${file.name}` });
      else if (id === null)
        problems.push(
          missingFile(
            file,
            'and none of that name is stored; upload it under Files in the web app or send it to /api/v1/files, or apply the funnel once from the folder that holds it',
          ),
        );
      else if (!(await this.files.isThere(manager, id))) problems.push(lostFile(file));
    }
    return problems;
  }

  /** Of a version with its own files: those whose bytes are gone. */
  async lost(manager: EntityManager, definition: FunnelDefinition, ids: Ids): Promise<DefinitionProblem[]> {
    const problems: DefinitionProblem[] = [];
    for (const file of filesOf(definition)) {
      const id = ids[file.name];
      if (id === undefined || !(await this.files.isThere(manager, id))) problems.push(lostFile(file));
    }
    return problems;
  }

  /** Those of the funnel as it is, by the names it gives them. Throws `FUNNEL_NOT_FOUND`. */
  async ofFunnel(manager: EntityManager, key: string): Promise<{ name: string; file: StoredFile }[]> {
    const stored = await this.store.find(manager, key);
    if (stored === null) throw notFound('funnel', key, 'key');
    const ids = await this.idsOf(manager, stored);
    const named = [...new Set(filesOf(stored.state.definition).map(({ name }) => name))];
    const files: { name: string; file: StoredFile }[] = [];
    for (const name of named) {
      const id = ids[name] ?? (await this.files.idByName(manager, baseOf(name)));
      files.push({ name, file: await this.files.get(manager, id) });
    }
    return files;
  }

  /** The path of a file that neither the funnel has, with an `id`, nor the store under its name; null where it is not there. */
  private async spareOf(
    manager: EntityManager,
    name: string,
    { spare, id }: { spare: string | undefined; id: string | null },
  ): Promise<string | null> {
    if (spare === undefined || id !== null) return null;
    const newest = await this.files.newestOf(manager, baseOf(name));
    if (newest !== null && (await this.files.isThere(manager, newest))) return null;
    const found = await fileBeside(spare, name);
    return 'path' in found ? found.path : null;
  }

  private async idsOf(manager: EntityManager, stored: StoredFunnel | null): Promise<Ids> {
    if (stored === null) return {};
    return (await this.store.version(manager, stored, stored.version)).parts?.files ?? {};
  }
}

function lostFile(file: NamedTemplate): DefinitionProblem {
  return missingFile(
    file,
    'and the one that was stored is gone from DATA_DIR; apply the funnel from the folder that holds it, or restore DATA_DIR from a backup',
  );
}

function missingFile({ name, path }: NamedTemplate, why: string): DefinitionProblem {
  return { rule: 'unknown-file', path, message: `${name} did not come along, ${why}` };
}

function baseOf(name: string): string {
  return name.split('/').at(-1) ?? name;
}
