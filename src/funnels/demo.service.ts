import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Injectable } from '@nestjs/common';
import { DomainError } from '../values/domain-error.js';
import { readFunnelFile } from './yaml/funnel-file.js';
import { FunnelsService } from './funnels.service.js';
import { readFunnelText } from './yaml/funnel-text.files.js';

/** Where the funnels of the installation lie, with their files. */
export const FUNNELS_FOLDER = resolve('config', 'funnels');
const START_FILE = 'niche-ebook.yaml';

/** Demo mode: what stands in `config/funnels` is there after the start. */
@Injectable()
export class DemoService {
  constructor(private readonly funnels: FunnelsService) {}

  /** Lines to print. Applying an unchanged funnel changes nothing, so this is safe at every start. */
  async applyAll(): Promise<string[]> {
    const names = (await readdir(FUNNELS_FOLDER)).filter((name) => name.endsWith('.yaml')).toSorted();
    const lines: string[] = [];
    for (const name of names) {
      if (await this.isOwners(name)) continue;
      const plan = await this.funnels.applyFile(join(FUNNELS_FOLDER, name), { by: 'start' });
      if (plan.changes.length > 0)
        lines.push(`Applied config/funnels/${name} (${plan.changes.length} changes)`);
    }
    return lines;
  }

  /** Changed in the web app, by command or by API since: the owner's word stands, and a start does not undo it. */
  private async isOwners(name: string): Promise<boolean> {
    const file = readFunnelFile(await readFunnelText(join(FUNNELS_FOLDER, name)));
    const key = file.ok ? file.definition.funnel : '';
    if ((await this.funnels.list()).some((one) => one.key === key && one.archivedAt !== null)) return true;
    const [newest] = await this.funnels.history(key, { limit: 1 }).catch((error: unknown) => {
      if (error instanceof DomainError && error.code === 'FUNNEL_NOT_FOUND') return [];
      throw error;
    });
    return newest !== undefined && newest.appliedBy !== null && newest.appliedBy !== 'start';
  }

  /** The text of the demonstration, which a new funnel begins with. Throws `FUNNEL_FILE_NOT_FOUND`. */
  async startingText(): Promise<string> {
    return readFunnelText(join(FUNNELS_FOLDER, START_FILE));
  }
}
